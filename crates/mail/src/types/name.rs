//! Names of types, and what the name of a file says.

use contract::TypeName;

use crate::language::Language;

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// What a template becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Form {
    Subject,
    Text,
    Html,
    Mjml,
}

impl Form {
    /// By the end of a file's name.
    fn named(extension: &str) -> Option<Self> {
        Some(match extension {
            "subject" => Self::Subject,
            "txt" => Self::Text,
            "html" => Self::Html,
            "mjml" => Self::Mjml,
            _ => return None,
        })
    }

    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::Subject => "subject",
            Self::Text => "txt",
            Self::Html => "html",
            Self::Mjml => "mjml",
        }
    }

    /// Whether values are escaped in it.
    pub(crate) fn is_markup(self) -> bool {
        matches!(self, Self::Html | Self::Mjml)
    }
}

/// What a file is, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FileKind {
    /// `TYPE.toml`
    Definition(TypeName),
    /// `TYPE.LANGUAGE.FORM`
    Part(TypeName, Language, Form),
    /// `layout.html`, `layout.txt`
    Layout(Form),
    /// `_NAME.FORM` or `_NAME.LANGUAGE.FORM`
    Partial(Form),
}

const FORMS: &str = "subject, txt, html or mjml";

impl FileKind {
    /// Names are read from the right, because those of types have dots.
    ///
    /// # Errors
    /// A hint at the name that it should be.
    pub(crate) fn of(name: &str) -> Result<Self, String> {
        let (stem, extension) = name.rsplit_once('.').ok_or_else(|| unknown(name))?;
        if extension == "toml" {
            return stem.parse().map(Self::Definition).map_err(|error| error.to_string());
        }
        let form = Form::named(extension).ok_or_else(|| unknown(name))?;
        if let Some(partial) = stem.strip_prefix('_') {
            return partial_of(partial, form);
        }
        if stem == "layout" {
            return match form {
                Form::Html | Form::Text => Ok(Self::Layout(form)),
                Form::Subject | Form::Mjml => Err("a layout is layout.html or layout.txt".to_owned()),
            };
        }
        let language = |tag: &str| tag.parse::<Language>();
        match stem.rsplit_once('.').map(|(kind, tag)| (kind.parse(), language(tag))) {
            Some((Ok(kind), Ok(tag))) => Ok(Self::Part(kind, tag, form)),
            Some((Err(error), Ok(_))) => Err(error.to_string()),
            _ => Err(format!("the name lacks a language: {stem}.en.{extension}, for instance")),
        }
    }
}

fn partial_of(name: &str, form: Form) -> Result<FileKind, String> {
    let valid = match name.split_once('.') {
        Some((name, tag)) => !name.is_empty() && name.bytes().all(is_word) && tag.parse::<Language>().is_ok(),
        None => !name.is_empty() && name.bytes().all(is_word),
    };
    match form {
        Form::Subject => Err("a partial ends in txt, html or mjml".to_owned()),
        _ if valid => Ok(FileKind::Partial(form)),
        _ => Err("a partial is named _NAME.html or _NAME.LANGUAGE.html".to_owned()),
    }
}

fn unknown(name: &str) -> String {
    // What editors and desktops leave behind is best named.
    if name.ends_with('~') || [".swp", ".bak", ".orig", ".tmp"].iter().any(|end| name.ends_with(end)) {
        return "a copy that a program left behind: delete it, or begin its name with a dot".to_owned();
    }
    format!("not a file of a mail type: TYPE.toml, TYPE.LANGUAGE.{{{FORMS}}}, layout.html, layout.txt or _PARTIAL.html")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_from_the_right() {
        let part = |kind: &str, tag: &str, form| FileKind::Part(kind.parse().unwrap(), tag.parse().unwrap(), form);
        for (name, kind) in [
            ("email.welcome.toml", FileKind::Definition("email.welcome".parse().unwrap())),
            ("email.welcome.en.subject", part("email.welcome", "en", Form::Subject)),
            ("order.de.de_CH.mjml", part("order.de", "de-CH", Form::Mjml)),
            ("receipt.zh-Hant.txt", part("receipt", "zh-Hant", Form::Text)),
            ("layout.html", FileKind::Layout(Form::Html)),
            ("layout.txt", FileKind::Layout(Form::Text)),
            ("_footer.html", FileKind::Partial(Form::Html)),
            ("_footer.zh-Hant.txt", FileKind::Partial(Form::Text)),
        ] {
            assert_eq!(FileKind::of(name).as_ref(), Ok(&kind), "{name}");
        }
    }

    #[test]
    fn a_name_that_is_none_comes_with_a_hint() {
        for (name, hint) in [
            ("README", "TYPE.toml"),
            ("order.en.htm", "TYPE.LANGUAGE"),
            ("order.html", "order.en.html"),
            ("order.english.html", "lacks a language"),
            ("a b.en.html", "not a name such as"),
            ("order..toml", "not a name such as"),
            ("layout.mjml", "layout.html or layout.txt"),
            ("_x.subject", "txt, html or mjml"),
            ("_.html", "_NAME.html"),
            ("order.en.html~", "left behind"),
            ("order.toml.swp", "left behind"),
        ] {
            let refused = FileKind::of(name).unwrap_err();
            assert!(refused.contains(hint), "{name}: {refused}");
        }
    }
}
