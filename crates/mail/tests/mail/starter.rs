//! The files that somebody begins with.

use serde_json::Value;

use crate::{renderer, write};

#[test]
fn the_files_to_begin_with_are_a_good_set() {
    let renderer = renderer(mail::starter_files());
    let types = renderer.types();
    let order = types.get("order.shipped").unwrap();
    assert_eq!(order.languages().map(ToString::to_string).collect::<Vec<_>>(), ["de", "en"]);
    assert_eq!(order.compiled_with_each_mail().count(), 0);
    for (language, subject, said) in [
        ("en", "Your order A-1815 is on its way", ["10 December 2026", "500 x Punched cards", "Total: 1,234.50"]),
        ("de", "Ihre Bestellung A-1815 ist unterwegs", ["10. Dezember 2026", "500 x Lochkarten", "Summe: 1.234,50"]),
    ] {
        let sample = Value::Object(order.sample(&language.parse().unwrap()));
        let mail = write(&renderer, "order.shipped", Some(language), &sample).unwrap();
        assert_eq!(mail.subject(), subject);
        for said in said {
            assert!(mail.text().contains(said), "{said} in\n{}", mail.text());
        }
        assert!(mail.html().unwrap().contains("<p style=\"font-size:13px;color:#767676\" class=\"small\">"));
        assert!(!mail.text().contains("\r\n\r\n\r\n"), "{}", mail.text());
    }
}
