//! Any files: they are a good set, of which every mail can be written, or each thing that is wrong is told in a line.
#![allow(clippy::unwrap_used)]

use contract::TaskId;
use testkit::fuzz::Target;
use time::OffsetDateTime;

use super::MailTypes;
use super::files::{Files, normal};
use crate::{MailOptions, Renderer, Request};

/// Files one after the other, each below a line `=== name`.
fn files(input: &[u8]) -> Files {
    let text = String::from_utf8_lossy(input);
    let mut files = Files::new();
    for file in format!("\n{text}").split("\n=== ").skip(1) {
        let (name, text) = file.split_once('\n').unwrap_or((file, ""));
        files.insert(name.to_owned(), normal(text));
    }
    files
}

#[test]
fn fuzz_mail_types() {
    let words: [&[u8]; 23] = [
        b"\n=== a.en.html\n",
        b"\n=== a.toml\n",
        b"{{ locale }}",
        b"{% if name %}",
        b"{% else %}",
        b"{% endif %}",
        b"{% for x in [1, 2] %}",
        b"{% endfor %}",
        b"{% include \"_p.html\" %}",
        b"{% raw %}",
        b"{# #}",
        b"{{ content }}",
        b"<style>",
        b"</style>",
        b"<mj-text>",
        b"<mj-section><mj-column>",
        b"<p class=\"x\" style='a:b'>",
        b"</p>",
        b"p > b, .x { color: red }",
        "\u{4e2d}>".as_bytes(),
        b"<!--",
        b"-->",
        b"[sample]\n",
    ];
    let target = Target {
        name: "mail-types",
        words: &words,
        runs: 800,
        longest: 16_384,
        floors: &[("good", 20), ("refused", 100)],
    };
    let options = MailOptions { from: "a@example.com".parse().unwrap(), product: "Sluice".to_owned() };
    let email = "ada@example.com".parse().unwrap();
    target.fuzz(|input| match MailTypes::of(&files(input)) {
        Ok(types) => {
            let renderer = Renderer::with_types(options.clone(), types);
            for kind in renderer.types().iter() {
                for language in kind.languages() {
                    let (name, locale) = (Some(kind.name().as_str()), Some(language.as_str()));
                    let data = kind.sample(language);
                    let request = Request { kind: name, email: &email, name: Some("Ada"), locale, data: &data };
                    let id = TaskId::from_message_id("1");
                    let mail = renderer.render_request(&request, id, OffsetDateTime::UNIX_EPOCH).unwrap();
                    assert!(
                        mail.on_the_wire().split("\r\n").all(|line| line.len() <= 998 && !line.contains(['\r', '\n']))
                    );
                }
            }
            "good"
        }
        Err(problems) => {
            assert!(problems.iter().all(|problem| !problem.message.is_empty() && !problem.message.contains('\n')));
            "refused"
        }
    });
}
