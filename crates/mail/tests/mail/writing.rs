//! What a mail of an own type says, whatever its data is.

use contract::{MailTask, TaskId};
use mail::{Renderer, Request, Unwritable};
use mail_parser::MessageParser;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use crate::hostile::{HOSTILE, escaped};
use crate::{ada, renderer, write};

pub(crate) const ORDER: [(&str, &str); 9] = [
    (
        "order.shipped.toml",
        "from = \"Shop <shop@shop.example>\"\nreply_to = \"Help, please <help@shop.example>\"\n\
         list_unsubscribe = \"https://shop.example/leave?who={{ customer | url }}\"\n\
         expires_after = \"2days\"\npriority = \"high\"\nsuppressible = false\n\
         [fields]\ncustomer = \"text\"\ntotal = \"number\"\ndue = \"date\"\ntrack = \"url\"\nitems = \"list\"\n\
         note = { kind = \"lines\", optional = true }\n\
         [sample]\ncustomer = \"Ada\"\ntotal = 1234.5\ndue = 2026-11-28\ntrack = \"https://shop.example/t/1\"\n\
         items = [{ name = \"Tea\" }, { name = \"Cup\" }]\nnote = \"a\\nb\"\n",
    ),
    (
        "layout.html",
        "<!doctype html><html lang=\"{{ locale }}\" dir=\"{{ dir }}\"><head><title>{{ subject }}</title><style>p { color: red }</style></head><body>\n{{ content }}\n{% include \"_footer.html\" %}</body></html>\n",
    ),
    ("_footer.html", "<p>{{ product }}</p>"),
    ("_footer.zh.html", "<p>\u{518d}\u{89c1}</p>"),
    ("order.shipped.en.subject", "Shipped to {{ customer }}"),
    (
        "order.shipped.en.html",
        "<p>{{ customer }}, {{ total | number(2) }}, {{ due | date }}</p>{% for item in items %}<p class=\"item\">{{ item.name }}</p>{% endfor %}<a href=\"{{ track }}\" title=\"{{ customer }}\">track</a>{% if note %}<p>{% for line in note | lines %}{{ line }}<br>{% endfor %}</p>{% endif %}",
    ),
    ("order.shipped.en.txt", "{{ customer }}, {{ total | number(2) }}\n{{ note }}\n"),
    ("order.shipped.zh.subject", "\u{5df2}\u{53d1}\u{8d27}"),
    ("order.shipped.zh.html", "<p>{{ customer }}, {{ due | date }}</p>"),
];

pub(crate) fn order(changes: &Value) -> Value {
    let mut data = json!({
        "customer": "Ada", "total": 1234.5, "due": "2026-11-28", "track": "https://shop.example/t/1",
        "items": [{"name": "Tea"}],
    });
    data.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    data
}

#[test]
fn a_mail_has_the_heads_and_the_words_of_its_type() {
    let mail = write(&renderer(&ORDER), "order.shipped", Some("en-GB"), &order(&json!({"note": "one\ntwo"}))).unwrap();
    let message = MessageParser::default().parse(mail.bytes()).unwrap();
    assert_eq!(message.subject(), Some("Shipped to Ada"));
    assert_eq!(message.from().unwrap().first().unwrap().address(), Some("shop@shop.example"));
    assert_eq!(message.reply_to().unwrap().first().unwrap().name(), Some("Help, please"));
    assert_eq!(mail.envelope.sender(), "no-reply@example.com", "bounces go where they always went");
    let raw = |name: &'static str| message.header_raw(name).map(str::trim);
    assert_eq!(raw("List-Unsubscribe"), Some("<https://shop.example/leave?who=Ada>"));
    assert_eq!(raw("List-Unsubscribe-Post"), Some("List-Unsubscribe=One-Click"));
    assert_eq!(raw("Auto-Submitted"), Some("auto-generated"));
    assert_eq!(message.body_text(0).unwrap(), "Ada, 1,234.50\r\none\r\ntwo");
    let html = message.body_html(0).unwrap();
    for said in [
        "<html lang=\"en\" dir=\"ltr\">",
        "<title>Shipped to Ada</title>",
        "<p style=\"color:red\">Ada, 1,234.50, 28 November 2026</p>",
        "<p style=\"color:red\" class=\"item\">Tea</p>",
        "one<br>two<br>",
        "<p style=\"color:red\">Sluice</p>",
    ] {
        assert!(html.contains(said), "{said} in {html}");
    }
}

#[test]
fn bounces_go_where_the_type_says_then_where_all_do() {
    let all = "bounces+{id}@example.com".parse().ok();
    let mut files = ORDER.to_vec();
    let own = format!("return_path = \"shop@bounces.example\"\n{}", ORDER[0].1);
    for (definition, sender) in [
        (ORDER[0].1, format!("bounces+{}@example.com", TaskId::from_message_id("one"))),
        (own.as_str(), "shop@bounces.example".to_owned()),
    ] {
        files[0].1 = definition;
        let data = order(&json!({}));
        let (email, id) = (ada(), TaskId::from_message_id("one"));
        let request = Request {
            kind: Some("order.shipped"),
            email: &email,
            name: None,
            locale: None,
            data: data.as_object().unwrap(),
        };
        let renderer = renderer(&files).returning_to(all.clone());
        let mail = renderer.render_request(&request, id, OffsetDateTime::UNIX_EPOCH).unwrap();
        assert_eq!(mail.envelope.sender(), sender);
        let message = MessageParser::default().parse(mail.bytes()).unwrap();
        assert_eq!(message.from().unwrap().first().unwrap().address(), Some("shop@shop.example"));
        assert!(message.header_raw("Return-Path").is_none(), "whoever delivers it writes that");
    }
}

#[test]
fn a_type_tells_how_its_mails_are_to_be_treated() {
    let types = renderer(&ORDER).types();
    let order = types.get("order.shipped").unwrap();
    assert_eq!(order.expires_after(), Some(std::time::Duration::from_secs(2 * 24 * 3600)));
    assert_eq!((order.priority(), order.is_suppressible()), (mail::Priority::High, false));
    assert_eq!(order.compiled_with_each_mail().count(), 0, "the rules of the layout are worked in once");
}

#[test]
fn the_language_falls_back_from_the_wanted_one() {
    let mut files = ORDER.to_vec();
    files.extend([("order.shipped.zh-Hant.subject", "\u{5df2}\u{767c}\u{8ca8}"), ("order.shipped.zh-Hant.txt", "x")]);
    let types = renderer(&files).types();
    let order = types.get("order.shipped").unwrap();
    for (wanted, found) in [
        (Some("zh-Hant-TW"), "zh-Hant"),
        (Some("ZH_HANT"), "zh-Hant"),
        (Some("zh-Hans-CN"), "zh"),
        (Some("zh"), "zh"),
        (Some("zhx"), "en"),
        (Some("fr-CA"), "en"),
        (Some(""), "en"),
        (Some("--"), "en"),
        (None, "en"),
    ] {
        assert_eq!(order.language(wanted).unwrap().as_str(), found, "{wanted:?}");
    }
    let mail = write(&renderer(&files), "order.shipped", Some("zh-CN"), &order_data()).unwrap();
    assert!(mail.html().unwrap().contains("\u{518d}\u{89c1}"), "the partial of the language is taken");
}

pub(crate) fn order_data() -> Value {
    order(&json!({}))
}

#[test]
fn a_mail_without_a_text_gets_one_of_its_html() {
    let mail = write(&renderer(&ORDER), "order.shipped", Some("zh"), &order_data()).unwrap();
    assert!(mail.text().starts_with("Ada, 2026\u{5e74}11\u{6708}28\u{65e5}\r\n"), "{}", mail.text());
    assert!(!mail.text().contains("color"), "{}", mail.text());
}

#[test]
fn a_mail_of_text_alone_is_no_multipart() {
    let renderer = renderer(&[("note.toml", ""), ("note.en.subject", "Hi"), ("note.en.txt", "Hello\n.\nthere")]);
    let mail = write(&renderer, "note", None, &json!({})).unwrap();
    assert_eq!(mail.html(), None);
    let message = MessageParser::default().parse(mail.bytes()).unwrap();
    assert_eq!(message.body_text(0).as_deref().map(str::trim_end), Some("Hello\r\n.\r\nthere"));
    assert!(mail.on_the_wire().ends_with("\r\n.\r\n") && !mail.on_the_wire().contains("\r\n.\r\nthere"));
}

#[test]
fn what_is_written_from_right_to_left_says_so() {
    for (language, hello) in [("ar", "\u{645}\u{631}\u{62d}\u{628}\u{627}"), ("he-IL", "\u{5e9}\u{5dc}\u{5d5}\u{5dd}")]
    {
        let subject = format!("{hello} {{{{ who }}}}");
        let html = format!("<p>{hello} <bdi>{{{{ who }}}}</bdi></p>");
        let files = [
            (
                "hello.toml".to_owned(),
                format!("default_locale = \"{language}\"\n[fields]\nwho = \"text\"\n[sample]\nwho = \"Ada\""),
            ),
            (format!("hello.{language}.subject"), subject),
            (format!("hello.{language}.html"), html),
            ("layout.html".to_owned(), "<html lang=\"{{ locale }}\" dir=\"{{ dir }}\">{{ content }}</html>".to_owned()),
        ];
        let files: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        let mail = write(&renderer(&files), "hello", Some(language), &json!({"who": "Ada"})).unwrap();
        let message = MessageParser::default().parse(mail.bytes()).unwrap();
        assert_eq!(message.subject(), Some(format!("{hello} Ada").as_str()));
        assert!(message.body_html(0).unwrap().contains(&format!("<html lang=\"{language}\" dir=\"rtl\">")));
        assert!(mail.text().contains(hello), "{}", mail.text());
        assert!(mail.bytes().is_ascii());
    }
}

#[test]
fn mjml_becomes_a_mail() {
    let renderer = renderer(&[
        (
            "offer.toml",
            "[fields]\nwho = \"text\"\nlink = \"url\"\nitems = \"list\"\n[sample]\nwho = \"Ada\"\nlink = \"https://example.com/\"\nitems = [\"a\", \"b\"]",
        ),
        ("offer.en.subject", "Offer"),
        (
            "offer.en.mjml",
            "<mjml lang=\"{{ locale }}\" dir=\"{{ dir }}\"><mj-head><mj-style inline=\"inline\">.big { font-size: 30px }</mj-style></mj-head><mj-body>\
          \n<mj-section>\n<mj-column>\n<mj-text css-class=\"big\">Hi {{ who }}</mj-text>{% for item in items %}<mj-text>{{ item }}</mj-text>{% endfor %}\
          <mj-button href=\"{{ link }}\">Look</mj-button></mj-column></mj-section>{% include '_foot.mjml' %}</mj-body></mjml>",
        ),
        ("_foot.mjml", "<mj-section><mj-column><mj-text>{{ product }}</mj-text></mj-column></mj-section>"),
    ]);
    let types = renderer.types();
    assert_eq!(types.get("offer").unwrap().compiled_with_each_mail().count(), 0, "it is compiled once");
    let data = json!({"who": "<b>", "link": "https://example.com/?a=1&b='", "items": ["x", "<mj-text>y", "{{ z }}"]});
    let mail = write(&renderer, "offer", None, &data).unwrap();
    let html = mail.html().unwrap();
    for said in [
        "Hi &lt;b&gt;",
        "&lt;mj-text&gt;y",
        "{{ z }}",
        "href=\"https:&#x2f;&#x2f;example.com&#x2f;?a=1&amp;b=&#x27;\"",
        "lang=\"en\" dir=\"ltr\"",
        "font-size:30px",
    ] {
        assert!(html.contains(said), "{said} in {html}");
    }
    assert!(!html.contains("<mj"), "{html}");
    assert!(html.split("\r\n").all(|line| !line.contains(['\r', '\n'])));
    for said in ["Hi <b>", "{{ z }}", "Look", "Sluice"] {
        assert!(mail.text().contains(said), "{said} in {}", mail.text());
    }
}

/// The template can't be compiled before its data is there; then the data goes through the compiler, and must come out as it was.
#[test]
fn mjml_that_depends_on_its_data_becomes_a_mail_too() {
    let renderer = renderer(&[
        ("offer.toml", "[fields]\nwho = \"text\"\nsize = \"number\"\n[sample]\nwho = \"Ada\"\nsize = 20"),
        ("offer.en.subject", "Offer"),
        (
            "offer.en.mjml",
            "<mjml><mj-body><mj-section><mj-column><mj-text font-size=\"{{ size }}px\"><b title=\"{{ who }}\">{{ who }}</b></mj-text></mj-column></mj-section></mj-body></mjml>",
        ),
    ]);
    let types = renderer.types();
    assert_eq!(types.get("offer").unwrap().compiled_with_each_mail().collect::<Vec<_>>(), ["offer.en.mjml"]);
    for who in HOSTILE {
        let mail = write(&renderer, "offer", None, &json!({"who": who, "size": 17})).unwrap();
        let html = mail.html().unwrap();
        assert!(html.contains("font-size:17px"), "{html}");
        assert!(
            html.contains(&escaped(who)) && !html.contains("<script") && !html.contains("<mj-"),
            "{who:?} in {html}"
        );
    }
}

#[test]
fn rules_that_depend_on_the_data_are_worked_in_with_each_mail() {
    let renderer = renderer(&[
        ("note.toml", "[fields]\nlook = \"text\"\n[sample]\nlook = \"warn\""),
        ("note.en.subject", "Hi"),
        ("note.en.html", "<style>.warn{color:red}</style><p class=\"{{ look }}\">Hello</p>"),
    ]);
    assert_eq!(renderer.types().get("note").unwrap().compiled_with_each_mail().count(), 1);
    let html = |look: &str| write(&renderer, "note", None, &json!({"look": look})).unwrap().html().unwrap().to_owned();
    assert!(html("warn").contains("<p style=\"color:red\" class=\"warn\">"));
    assert!(html("{{ x }}").contains("<p class=\"{{ x }}\">"));
}

#[test]
fn what_may_take_long_is_known_before_it_is_written() {
    const DEPENDS: &str = "<style>.warn{color:red}</style><p class=\"{{ look }}\">Hello</p>";
    const MJML: &str = "<mjml><mj-body><mj-section><mj-column><mj-text>{{ look }}</mj-text></mj-column></mj-section>\
                        </mj-body></mjml>";
    let many = json!({"look": "a", "list": vec![json!({"a": 1}); 100]});
    let few = json!({"look": "a", "list": vec![json!({"a": 1}); 90]});
    for (name, html, text, data, long) in [
        ("note.en.html", "<p>{{ look }}</p>", true, &few, false),
        ("note.en.html", "<p>{{ look }}</p>", true, &many, true),
        ("note.en.html", "<p>{{ look }}</p>", false, &few, true),
        ("note.en.html", DEPENDS, true, &few, true),
        ("note.en.mjml", MJML, true, &few, false),
    ] {
        let toml = "[fields]\nlook = \"text\"\n[sample]\nlook = \"warn\"";
        let mut files = vec![("note.toml", toml), ("note.en.subject", "Hi"), (name, html)];
        files.extend(text.then_some(("note.en.txt", "Hello")));
        let task = MailTask {
            mail_type: "note".parse().unwrap(),
            email: ada(),
            name: None,
            locale: None,
            data: data.as_object().unwrap().clone(),
        };
        assert_eq!(renderer(&files).may_take_long(&task), long, "{html} {text}");
    }
}

#[test]
fn a_blank_name_is_none() {
    let renderer = renderer(&ORDER);
    let data: Map<_, _> = order_data().as_object().unwrap().clone();
    for (name, head) in
        [(Some(" \r\n "), "To: ada@example.com\r\n"), (Some("Ada"), "To: Ada\r\n <ada@example.com>\r\n")]
    {
        let request = Request { kind: Some("order.shipped"), email: &ada(), name, locale: None, data: &data };
        let mail = renderer.render_request(&request, TaskId::from_message_id("1"), OffsetDateTime::UNIX_EPOCH).unwrap();
        assert!(mail.on_the_wire().contains(head), "{}", mail.on_the_wire());
    }
}

#[test]
fn what_can_not_be_written_says_why_and_nothing_of_the_data() {
    let renderer = renderer(&[
        (
            "note.toml",
            "[fields]\nwho = \"object\"\nat = \"text\"\n[sample]\nwho = { name = \"Ada\" }\nat = \"2026-11-28\"",
        ),
        ("note.en.subject", "Hi"),
        ("note.en.txt", "a\n{{ who.name }}\n{{ at | date }}"),
    ]);
    let why = |kind: &str, data: &Value| match write(&renderer, kind, None, data) {
        Ok(mail) => panic!("{}", mail.text()),
        Err(why) => why,
    };
    assert_eq!(why("note.sent", &json!({})), Unwritable::UnknownType("note.sent".to_owned()));
    for (data, said) in [
        (json!({"at": "secret"}), "writing the mail: the field `who` is missing"),
        (json!({"who": "secret", "at": "secret"}), "writing the mail: the field `who` must be an object"),
        (
            json!({"who": {"secret": 1}, "at": "secret"}),
            "writing the mail: note: note.en.txt:2: `who.name` is not there",
        ),
        (
            json!({"who": {"name": "secret"}, "at": "secret"}),
            "writing the mail: note: note.en.txt:3: date: the value is no date",
        ),
    ] {
        let why = why("note", &data);
        assert_eq!(why.to_string(), said);
        assert!(!format!("{why:?}").contains("secret"));
    }
}

#[test]
fn the_private_words_are_those_of_the_data() {
    let data = order(&json!({"customer": "Ada Lovelace", "items": [{"name": "Tea for 2"}], "note": "at\nhome"}));
    let mail = write(&renderer(&ORDER), "order.shipped", None, &data).unwrap();
    let words: Vec<_> = mail.private_words().collect();
    for word in ["Ada", "Lovelace", "Tea", "for", "home", "https://shop.example/t/1"] {
        assert!(words.contains(&word), "{word} in {words:?}");
    }
    assert!(!words.contains(&"2") && !format!("{mail:?}").contains("Ada"));
}

#[test]
fn an_id_has_one_message_id() {
    let renderer = renderer(&ORDER);
    let head = |renderer: &Renderer| {
        let mail = write(renderer, "order.shipped", None, &order_data()).unwrap();
        MessageParser::default().parse(mail.bytes()).unwrap().message_id().unwrap().to_owned()
    };
    assert_eq!(head(&renderer), head(&renderer));
    assert!(head(&renderer).ends_with("@example.com"));
}
