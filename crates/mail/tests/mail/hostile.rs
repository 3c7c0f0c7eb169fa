//! Values and names that try to be more than a text.

use contract::TaskId;
use mail::Request;
use mail_parser::{HeaderValue, MessageParser};
use serde_json::{Map, json};
use time::OffsetDateTime;

use crate::writing::{ORDER, order, order_data};
use crate::{ada, renderer, write};

pub(crate) const HOSTILE: [&str; 14] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "' onmouseover='x",
    "{{ 7 * 7 }}",
    "{% for x in y %}",
    "{# gone #}",
    "{% raw %}",
    "<mj-text>x</mj-text>",
    "<mj-include path=\"/etc/passwd\" />",
    "</style><!-- -->]]>",
    "a\r\nBcc: eve@example.com\r\n\r\nbody",
    "\u{202e}evil\u{2028}x\u{0}y",
    "=?utf-8?q?trick?=",
    ".\r\nQUIT\r\n",
];

/// As a template prints it into markup: one line, escaped.
pub(crate) fn escaped(text: &str) -> String {
    let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    let text = text.replace(breaks, " ").replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;").replace('\'', "&#x27;").replace('/', "&#x2f;")
}

#[test]
fn a_hostile_value_is_a_text_in_every_field_and_every_part() {
    let renderer = renderer(&ORDER);
    let calm = write(
        &renderer,
        "order.shipped",
        None,
        &order(&json!({"customer": "x", "note": "x", "items": [{"name": "x"}]})),
    )
    .unwrap();
    let heads = |mail: &mail::Rendered| {
        let message = MessageParser::default().parse(mail.bytes()).unwrap().into_owned();
        (message.headers().iter().map(|head| head.name().to_owned()).collect::<Vec<_>>(), message.parts.len())
    };
    let tags = |html: &str| html.matches('<').count();
    for hostile in HOSTILE {
        let data = order(&json!({"customer": hostile, "note": hostile, "items": [{"name": hostile}]}));
        let mail = write(&renderer, "order.shipped", None, &data).unwrap();
        assert_eq!(heads(&mail), heads(&calm), "{hostile:?} adds no head and no part");
        let lines = hostile.replace('\u{2028}', "\n").lines().count();
        let html = mail.html().unwrap();
        assert_eq!(
            tags(html),
            tags(calm.html().unwrap()) + lines - 1,
            "{hostile:?} adds no tag but its lines' <br>: {html}"
        );
        assert!(html.contains(&escaped(hostile)), "{hostile:?} in {html}");
        assert!(!mail.subject().contains(['\r', '\n', '\u{202e}']));
        let message = MessageParser::default().parse(mail.bytes()).unwrap();
        let target = message.header_raw("List-Unsubscribe").unwrap().trim();
        assert!(
            target.starts_with("<https://shop.example/leave?who=") && target.bytes().all(|b| b.is_ascii_graphic()),
            "{target}"
        );
        for line in mail.on_the_wire().trim_end_matches("\r\n.\r\n").split("\r\n") {
            assert!(line.len() <= 998 && !line.starts_with('.') && !line.contains(['\r', '\n', '\0']), "{line:?}");
        }
    }
}

#[test]
fn no_name_can_add_a_header() {
    let renderer = renderer(&ORDER);
    let data: Map<_, _> = order_data().as_object().unwrap().clone();
    let long = "n".repeat(500);
    for name in HOSTILE.into_iter().chain([
        long.as_str(),
        "\u{645}\u{631}\u{62d}\u{628}\u{627}",
        "Ada \"the\" Countess, \\ etc. <x@y>",
    ]) {
        let request =
            Request { kind: Some("order.shipped"), email: &ada(), name: Some(name), locale: None, data: &data };
        let mail = renderer.render_request(&request, TaskId::from_message_id("1"), OffsetDateTime::UNIX_EPOCH).unwrap();
        let message = MessageParser::default().parse(mail.bytes()).unwrap();
        let to = message.to().unwrap();
        assert_eq!(to.as_list().map(<[_]>::len), Some(1), "{name:?}: {:?}", message.header_raw("To"));
        assert_eq!(to.first().unwrap().address(), Some("ada@example.com"), "{name:?}");
        let shown = to.first().unwrap().name().unwrap_or_default();
        assert!(!shown.contains(['\u{202d}', '\u{202e}']), "{name:?} turns the address around");
        assert!(matches!(message.header("Bcc"), None | Some(HeaderValue::Empty)), "{name:?}");
        assert!(mail.bytes().is_ascii());
    }
}
