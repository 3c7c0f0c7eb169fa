//! A set is read and checked as a whole, and everything that is wrong is told at once, with its place.

use crate::{Directory, load};
use mail::MailTypes;

const TOML: &str = "[fields]\nname_of_thing = \"text\"\nnote = { kind = \"text\", optional = true }\n\n[sample]\nname_of_thing = \"Thing\"\nnote = \"n\"\n";

/// Names and texts of files.
type Changes<'a> = &'a [(&'a str, &'a str)];

/// A good type, with some files replaced or added; an empty text takes one away.
fn problems(changes: Changes<'_>) -> Vec<String> {
    let mut files = vec![
        ("thing.made.toml", TOML),
        ("thing.made.en.subject", "Your {{ name_of_thing }}"),
        ("thing.made.en.html", "<p>{{ name_of_thing }}</p>"),
        ("thing.made.en.txt", "{{ name_of_thing }}"),
    ];
    files.retain(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
    files.extend(changes.iter().filter(|(_, text)| !text.is_empty()));
    match load(&files) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn a_good_set_has_no_problem() {
    assert_eq!(problems(&[]), [""; 0]);
}

#[test]
fn each_problem_names_its_file_and_line() {
    let cases: &[(Changes<'_>, &[&str])] = &[
        // TYPE.toml
        (&[("thing.made.toml", "[fields\n")], &["thing.made.toml:1: "]),
        (
            &[("thing.made.toml", "a = 1\n\n[fields]\nb = \"colour\"\n")],
            &[
                "thing.made.en.html:1: `name_of_thing` is not there",
                "thing.made.toml:1: unknown key `a`",
                "thing.made.toml:4: `b`: there is no kind \"colour\"",
            ],
        ),
        (
            &[(
                "thing.made.toml",
                &format!(
                    "expires_after = \"soon\"\npriority = \"urgent\"\nfrom = \"nobody\"\nsuppressible = 1\nreturn_path = \"b+{{task}}@a.example\"\n{TOML}"
                ),
            )],
            &[
                "thing.made.toml:1: expires_after: not a time such as 15min",
                "thing.made.toml:2: priority: must be normal or high",
                "thing.made.toml:3: from: not a sender",
                "thing.made.toml:4: suppressible must be true or false",
                "thing.made.toml:5: return_path: not an address such as bounces@example.com, or bounces+{id}@example.com",
            ],
        ),
        (
            &[("thing.made.toml", "[fields]\nname_of_thing = \"number\"\n[sample]\nname_of_thing = \"x\"\nother = 1")],
            &[
                "thing.made.toml:4: the sample's `name_of_thing` must be a number",
                "thing.made.toml:5: the sample has `other`, which is not in [fields]",
            ],
        ),
        (
            &[("thing.made.toml", "[fields]\nname_of_thing = \"text\"\nsubject = \"text\"\n")],
            &[
                "thing.made.toml:2: `name_of_thing` has no value in [sample]",
                "thing.made.toml:3: `subject` can't be a field",
            ],
        ),
        (
            &[("thing.made.toml", &format!("default_locale = \"fr\"\n{TOML}"))],
            &["thing.made.toml: has no templates in its default_locale, fr"],
        ),
        // names
        (&[("README.md", "x")], &["README.md: not a file of a mail type"]),
        (&[("thing.made.html", "x")], &["thing.made.html: the name lacks a language"]),
        (
            &[("thing.made.de.txt", "Hallo"), ("thing.made.toml", "")],
            &["thing.made.de.txt: belongs to no type: there is no thing.made.toml"],
        ),
        // parts
        (&[("thing.made.en.subject", "")], &["thing.made.en.subject: is missing"]),
        (
            &[("thing.made.en.html", ""), ("thing.made.en.txt", "")],
            &["thing.made.en.subject: has no mail: thing.made.en.html, .mjml or .txt is missing"],
        ),
        (&[("thing.made.zh.txt", "Hallo")], &["thing.made.zh.subject: is missing"]),
        (
            &[("thing.made.en.subject", "  {{ note if false else '' }} ")],
            &["thing.made.en.subject:1: the subject is empty"],
        ),
        (&[("thing.made.en.txt", " \n")], &["thing.made.en.txt:1: the mail has no words"]),
        // templates
        (&[("thing.made.en.txt", "a\n{% if %}\n")], &["thing.made.en.txt:2: syntax error"]),
        (&[("thing.made.en.txt", "a\nb {{ colour }}\n")], &["thing.made.en.txt:2: `colour` is not there"]),
        (
            &[("thing.made.en.txt", "a\n{{ name_of_thing.first }}\n")],
            &["thing.made.en.txt:2: `name_of_thing.first` is not there"],
        ),
        (&[("thing.made.en.txt", "{{ name_of_thing | shout }}")], &["thing.made.en.txt:1: unknown filter"]),
        (
            &[("thing.made.en.txt", "\n\n{{ name_of_thing | date }}")],
            &["thing.made.en.txt:3: date: the value is no date"],
        ),
        (&[("thing.made.en.txt", "{{ note | number }}")], &["thing.made.en.txt:1: number: the value is no number"]),
        (&[("thing.made.en.txt", "{% autoescape false %}x{% endautoescape %}")], &["thing.made.en.txt:1: autoescape"]),
        // layouts and partials
        (&[("layout.html", "<html>\n</html>")], &["layout.html: has 0 times {{ content }}"]),
        (&[("layout.html", "<html>\n{{ colour }}\n{{ content }}</html>")], &["layout.html:2: `colour` is not there"]),
        (
            &[("layout.html", "<b>\n{{ content }}"), ("thing.made.en.html", "<p>\n\n{{ colour }}")],
            &["thing.made.en.html:3: `colour` is not there"],
        ),
        (
            &[("thing.made.en.html", "a\n{% include \"_foot.html\" %}")],
            &["thing.made.en.html:2: there is no partial _foot.html"],
        ),
        (
            &[("thing.made.en.html", "{% include name_of_thing %}")],
            &["thing.made.en.html:1: include takes the name of a partial"],
        ),
        (
            &[("thing.made.en.html", "{% include '_foot.html' %}"), ("_foot.html", "\n{{ colour }}")],
            &["_foot.html:2: `colour` is not there"],
        ),
        (
            &[("thing.made.en.html", "{% include '_foot.html' %}"), ("_foot.html", "{% include '_foot.html' %}")],
            &["_foot.html:1: _foot.html is included within itself"],
        ),
        (&[("_foot.html", "\n{% if x %}")], &["_foot.html:2: "]),
        // what a value could do harm in
        (
            &[("thing.made.en.html", "<p>\n<a href={{ name_of_thing }}>x</a>")],
            &["thing.made.en.html:2: a value in a tag stands between quotes"],
        ),
        (
            &[("thing.made.en.html", "<p {{ name_of_thing }}>x</p>")],
            &["thing.made.en.html:1: a value in a tag stands between the quotes"],
        ),
        (
            &[("thing.made.en.html", "<a href=\"{{ name_of_thing }}\">x</a>")],
            &["thing.made.en.html:1: a link begins with `name_of_thing`"],
        ),
        (
            &[("thing.made.en.html", "<style>p { color: {{ name_of_thing }} }</style>x")],
            &["thing.made.en.html:1: a value can't stand in <style>"],
        ),
        (&[("thing.made.en.html", "<b>{{ name_of_thing | safe }}</b>")], &["thing.made.en.html:1: unknown filter"]),
        // MJML
        (
            &[
                ("thing.made.en.html", ""),
                (
                    "thing.made.en.mjml",
                    "<mjml colour=\"red\">\n<mj-body>\n<mj-section><mj-column>\n<mj-txt colour=\"x\">x</mj-txt>\n<mj-text colour=\"red\">x</mj-text></mj-column></mj-section></mj-body></mjml>",
                ),
            ],
            &[
                "thing.made.en.mjml:4: MJML: there is no element mj-txt",
                "thing.made.en.mjml:1: MJML: the element has no attribute colour",
            ],
        ),
        (
            &[
                ("thing.made.en.html", ""),
                ("thing.made.en.mjml", "<mjml>\n<mj-body><mj-include path=\"x\" /></mj-body></mjml>"),
            ],
            &["thing.made.en.mjml:2: MJML: mj-include reads no files"],
        ),
        (
            &[("thing.made.en.mjml", "<mjml><mj-body></mj-body></mjml>")],
            &["thing.made.en.mjml: thing.made.en.html is there, too"],
        ),
        // list_unsubscribe
        (
            &[("thing.made.toml", &format!("list_unsubscribe = \"https://example.com/{{{{ colour }}}}\"\n{TOML}"))],
            &["thing.made.toml:1: `colour` is not there"],
        ),
        (
            &[("thing.made.toml", &format!("\nlist_unsubscribe = \"{{{{ name_of_thing }}}}\"\n{TOML}"))],
            &["thing.made.toml:2: list_unsubscribe comes to neither a URL"],
        ),
        // what only some mails would show
        (
            &[
                ("thing.made.en.txt", "a\n{{ note | date }}"),
                (
                    "thing.made.toml",
                    &TOML
                        .replace("note = { kind = \"text\"", "note = { kind = \"date\"")
                        .replace("note = \"n\"", "note = 2026-11-28"),
                ),
            ],
            &["thing.made.en.txt:2: date: the value is no date, when a task has only what is required"],
        ),
    ];
    for (changes, expected) in cases {
        let found = problems(changes);
        for expected in *expected {
            assert!(found.iter().any(|problem| problem.starts_with(expected)), "{expected:?} in {found:#?}");
        }
        assert!(found.iter().all(|problem| !problem.contains('\n')));
    }
}

#[test]
fn everything_that_is_wrong_is_told_at_once_by_file_and_line() {
    let found = problems(&[
        ("thing.made.en.txt", "{{ a }}"),
        ("thing.made.en.html", "\n{{ b }}"),
        ("thing.made.en.subject", "{% if %}"),
        ("other.toml", "x = 1\ny = 2"),
        ("notes", "x"),
    ]);
    let mut sorted = found.clone();
    sorted.sort();
    assert_eq!(found, sorted);
    assert!(found.len() >= 5, "{found:#?}");
}

#[test]
fn sizes_are_bounded() {
    let long = "x".repeat(256 * 1024 + 1);
    assert!(problems(&[("thing.made.en.txt", &long)]).iter().any(|problem| problem.contains("more than 262144 bytes")));
    let directory = Directory::new();
    for n in 0..1_001 {
        directory.put(&format!("_{n}.html"), "");
    }
    let problems = MailTypes::load(directory.path()).unwrap_err().to_string();
    assert!(problems.contains("more than 1000 files"), "{problems}");
}

#[test]
fn a_template_that_would_take_for_ever_or_all_memory_is_told_of() {
    for template in [
        "{% for i in range(100000) %}{% for j in range(100000) %}x{% endfor %}{% endfor %}",
        "{% set n = namespace(s=\"xxxxxxxx\") %}{% for i in range(60) %}{% set n.s = n.s ~ n.s %}{% endfor %}{{ n.s }}",
        "{{ \"a\nb\" | indent(4000000000) }}",
        "{{ (name_of_thing | list * 4000000000) | join }}",
        "{{ \"%4000000000s\" | format(name_of_thing) }}",
    ] {
        let began = std::time::Instant::now();
        let found = problems(&[("thing.made.en.txt", template)]);
        let told = |problem: &String| problem.starts_with("thing.made.en.txt:");
        assert!(found.iter().any(told), "{template}: {found:?}");
        assert!(began.elapsed() < std::time::Duration::from_secs(10), "{template}: {:?}", began.elapsed());
    }
}

#[test]
fn what_mjml_makes_of_a_part_is_bounded_too() {
    let columns = "{% for i in range(6000) %}<mj-column><mj-text>{{ i }}</mj-text></mj-column>{% endfor %}";
    let mjml = format!("<mjml><mj-body><mj-section>{columns}</mj-section></mj-body></mjml>");
    let found = problems(&[("thing.made.en.html", ""), ("thing.made.en.mjml", &mjml)]);
    assert!(found.contains(&"thing.made.en.mjml:1: comes to more than 2097152 bytes".to_owned()), "{found:?}");
}

#[test]
fn a_loop_of_thousands_is_still_written() {
    let template = "{% for i in range(5000) %}{{ name_of_thing }} {{ i | number }}{% if i is odd %}, {% endif %}\
                    {% endfor %}";
    assert_eq!(problems(&[("thing.made.en.txt", template)]), [""; 0]);
}

#[test]
fn what_is_wrong_with_an_empty_file_names_it() {
    let found = problems(&[("thing.made.en.subject", "\n"), ("thing.made.en.txt", "\n"), ("thing.made.en.html", "\n")]);
    let subject = "thing.made.en.subject:1: the subject is empty".to_owned();
    assert!(found.contains(&subject) && found.iter().all(|problem| problem.starts_with("thing.made.")), "{found:?}");
}

#[test]
fn control_characters_in_files_are_told_of() {
    for (character, name) in [('\0', "U+0000"), ('\u{1b}', "U+001B"), ('\u{7f}', "U+007F"), ('\u{85}', "U+0085")] {
        let text = format!("{{{{ name_of_thing }}}}\n\tor{character}not");
        let found = problems(&[("thing.made.en.txt", &text)]);
        assert!(found.contains(&format!("thing.made.en.txt:2: has the control character {name}")), "{found:?}");
    }
}

#[test]
fn what_can_not_be_read_is_told() {
    let missing = MailTypes::load("/nowhere/mails".as_ref()).unwrap_err();
    assert!(missing.to_string().starts_with("/nowhere/mails: the directory can't be read"), "{missing}");
    let directory = Directory::new();
    std::fs::write(directory.path().join("a.en.txt"), b"a\n\xff").unwrap();
    std::fs::create_dir(directory.path().join("sub")).unwrap();
    std::os::unix::fs::symlink("gone", directory.path().join("b.en.txt")).unwrap();
    let problems = MailTypes::load(directory.path()).unwrap_err().to_string();
    for expected in ["a.en.txt:2: not UTF-8", "sub: a directory", "b.en.txt: can't be read"] {
        assert!(problems.contains(expected), "{expected} in\n{problems}");
    }
}
