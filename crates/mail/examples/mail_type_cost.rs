//! What writing one mail costs, by the kind of its type: `cargo run --release -p mail --example mail_type_cost`.
//! The fastest of many rounds, each kind in turns with the built-in one, so that a busy machine weighs on both.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use contract::{EmailAddress, TaskId};
use mail::{MailOptions, MailTypes, Renderer, Request, starter_files};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;

const ROUNDS: u32 = 60;
const MAILS: u32 = 1_000;

const DEFINITION: &str = "[fields]\nusername = \"text\"\n[sample]\nusername = \"ada\"";
const SUBJECT: &str = "Welcome to {{ product }}{% if username is plain %}, {{ username }}{% endif %}";
const TEXT: &str = include_str!("../src/built_in/email.welcome.en.txt");
/// The welcome mail's own words, and the layout around them.
const HTML: &str = "<h1>Welcome to {{ product }}</h1>
<p>Hello {{ username }},</p>
<p>An account has been registered with this address, under the name below.</p>
<p class=\"box\">Username: <strong>{{ username }}</strong></p>
<p>This message confirms that the registration went through. There is nothing you need
to do.</p>
<p class=\"small\">If it was not you who registered, somebody else entered your address. You can ignore
this message.</p>
";
const LAYOUT: &str = "<!doctype html>
<html lang=\"{{ locale }}\" dir=\"{{ dir }}\">
<head>
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">
<title>{{ subject }}</title>
<style>
h1 { font-size: 22px; margin: 0 0 16px }
.box { padding: 12px 16px; border: 1px solid #8884 }
.small { font-size: 13px; color: #767676 }
</style>
</head>
<body>
{{ content }}
{% include \"_team.html\" %}
</body>
</html>
";
const MJML: &str = "<mjml><mj-body><mj-section><mj-column>
<mj-text font-size=\"22px\">Welcome to {{ product }}</mj-text>
<mj-text>Hello {{ username }}, an account has been registered with this address, under the name below.</mj-text>
<mj-text font-size=\"SIZE\">Username: <strong>{{ username }}</strong></mj-text>
</mj-column></mj-section></mj-body></mjml>
";

fn main() {
    let email: EmailAddress = "ada@example.com".parse().unwrap();
    let options = MailOptions { from: "Sluice <no-reply@example.com>".parse().unwrap(), product: "Sluice".to_owned() };
    let welcome = json!({"username": "ada_lovelace"});
    let starter = MailTypes::load(&directory("starter", starter_files())).unwrap();
    let order = Value::Object(starter.get("order.shipped").unwrap().sample(&"en".parse().unwrap()));
    let own = [("own.toml", DEFINITION), ("own.en.subject", SUBJECT), ("own.en.txt", TEXT)];
    let with = |name, files: &[(&str, &str)]| MailTypes::load(&directory(name, &[&own[..], files].concat())).unwrap();
    let layout = [("own.en.html", HTML), ("layout.html", LAYOUT), ("_team.html", "<p>The {{ product }} team</p>")];
    let depends = HTML.replace("class=\"box\"", "class=\"box {{ username }}\"");
    let mjml = MJML.replace("SIZE", "14px");
    let mjml_depends = MJML.replace("SIZE", "{{ username | length }}px");
    let kinds = [
        ("the built-in welcome mail", MailTypes::built_in().unwrap(), "email.welcome", &welcome),
        ("the same words with layout, partial and <style>", with("layout", &layout), "own", &welcome),
        ("the type of `mails init`", starter, "order.shipped", &order),
        ("MJML", with("mjml", &[("own.en.mjml", &mjml)]), "own", &welcome),
        (
            "<style> that depends on the data",
            with("depends", &[layout[1], layout[2], ("own.en.html", &depends)]),
            "own",
            &welcome,
        ),
        ("MJML that depends on the data", with("mjml-depends", &[("own.en.mjml", &mjml_depends)]), "own", &welcome),
        (
            "with layout, its text made of its HTML",
            with("no-text", &[layout[0], layout[1], layout[2], ("own.en.txt", "\0")]),
            "own",
            &welcome,
        ),
    ];
    let renderers = kinds.map(|(what, types, kind, data)| {
        (what, Renderer::with_types(options.clone(), types), kind, data.as_object().unwrap())
    });
    let mut fastest = [f64::MAX; 7];
    for _ in 0..ROUNDS {
        for ((_, renderer, kind, data), fastest) in renderers.iter().zip(&mut fastest) {
            *fastest = fastest.min(round(renderer, kind, &email, data));
        }
    }
    println!("{:<52} {:>8} {:>7} {:>6}", "", "us", "ratio", "bytes");
    for ((what, renderer, kind, data), us) in renderers.iter().zip(fastest) {
        let bytes = write(renderer, kind, &email, data);
        println!("{what:<52} {us:>8.2} {:>7.2} {bytes:>6}", us / fastest[0]);
    }
}

/// Microseconds a mail.
fn round(renderer: &Renderer, kind: &str, email: &EmailAddress, data: &Map<String, Value>) -> f64 {
    let began = Instant::now();
    for _ in 0..MAILS {
        black_box(write(renderer, kind, email, data));
    }
    began.elapsed().as_secs_f64() * 1e6 / f64::from(MAILS)
}

fn write(renderer: &Renderer, kind: &str, email: &EmailAddress, data: &Map<String, Value>) -> usize {
    let request = Request { kind: Some(kind), email, name: None, locale: Some("en"), data };
    renderer.render_request(&request, TaskId::from_message_id("1"), OffsetDateTime::UNIX_EPOCH).unwrap().bytes().len()
}

/// A file whose text is a NUL is left out.
fn directory(name: &str, files: &[(&str, &str)]) -> std::path::PathBuf {
    let path = Path::new(&std::env::temp_dir()).join(format!("mail-type-cost-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&path).unwrap();
    for (name, text) in files {
        std::fs::write(path.join(name), text).unwrap();
    }
    for (name, _) in files.iter().filter(|(_, text)| *text == "\0") {
        std::fs::remove_file(path.join(name)).unwrap();
    }
    path
}
