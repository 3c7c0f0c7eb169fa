//! One template of many files: layout and partials put into the text once, when the set is read. Every offset still knows
//! its file and line.

use std::sync::Arc;

use super::jinja::{self, Piece, Span};
use crate::language::Language;
use crate::problem::Problem;
use crate::types::files::Files;

/// Partials within partials, at most.
const DEPTH: usize = 8;
/// Longest template with all that is included, in bytes.
const MAX: usize = 1024 * 1024;

/// Where a piece of the text is from.
#[derive(Debug, Clone)]
struct Origin {
    /// Where the piece begins in the text.
    start: usize,
    file: Arc<str>,
    line: usize,
}

/// A template without includes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Source {
    text: String,
    origins: Vec<Origin>,
}

impl Source {
    /// A template that is no file of its own: it stands in a line of `file`.
    pub(crate) fn of_line(file: &str, line: usize, text: &str) -> Self {
        Self { text: text.to_owned(), origins: vec![Origin { start: 0, file: file.into(), line }] }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The file and line of an offset.
    pub(crate) fn place(&self, offset: usize) -> (&str, usize) {
        let Some(origin) = self.origins.iter().rev().find(|origin| origin.start <= offset) else { return ("", 1) };
        let until = self.text.as_bytes().get(origin.start..offset.min(self.text.len())).unwrap_or_default();
        (&origin.file, origin.line + until.iter().filter(|byte| **byte == b'\n').count())
    }

    /// The place in a problem.
    pub(crate) fn problem(&self, offset: usize, message: impl Into<String>) -> Problem {
        let (file, line) = self.place(offset);
        Problem::new(file, Some(line), message)
    }

    /// The offset at which a line of the text begins.
    pub(crate) fn offset_of_line(&self, line: usize) -> usize {
        match line.checked_sub(2) {
            Some(before) => self.text.match_indices('\n').nth(before).map_or(self.text.len(), |(at, _)| at + 1),
            None => 0,
        }
    }

    fn push(&mut self, file: &Arc<str>, line: usize, text: &str) {
        if !text.is_empty() {
            self.origins.push(Origin { start: self.text.len(), file: Arc::clone(file), line });
            self.text.push_str(text);
        }
    }
}

/// Puts together what one language's template is made of.
pub(crate) struct Assembler<'a> {
    files: &'a Files,
    language: Option<&'a Language>,
    problems: Vec<Problem>,
}

impl<'a> Assembler<'a> {
    /// Partials are looked for in `language` first.
    pub(crate) fn new(files: &'a Files, language: Option<&'a Language>) -> Self {
        Self { files, language, problems: Vec::new() }
    }

    /// The template of `file`, in its layout if there is one.
    ///
    /// # Errors
    /// Partials that are not there, or never end.
    pub(crate) fn assemble(mut self, file: &str, layout: Option<&str>) -> Result<Source, Vec<Problem>> {
        let mut out = Source::default();
        match layout {
            Some(layout) => self.add(layout, Some(file), 0, &mut out),
            None => self.add(file, None, 0, &mut out),
        }
        if out.text.len() > MAX {
            self.problems = vec![Problem::new(file, None, format!("more than {MAX} bytes with what is included"))];
        }
        if out.origins.is_empty() {
            // An empty file is a file all the same: what is said of it has its place.
            out.origins.push(Origin { start: 0, file: file.into(), line: 1 });
        }
        let end = out.text.trim_end().len();
        out.text.truncate(end);
        if self.problems.is_empty() { Ok(out) } else { Err(self.problems) }
    }

    fn add(&mut self, name: &str, content: Option<&str>, depth: usize, out: &mut Source) {
        let Some(text) = self.files.get(name) else { return };
        // As the template language does with a file that is included.
        let text = text.strip_suffix('\n').unwrap_or(text);
        let file: Arc<str> = name.into();
        let (mut done, mut line) = (0, 1);
        for span in jinja::spans(text) {
            let Some(other) = self.other(&file, text, &span, content) else { continue };
            let before = &text[done..span.range.start];
            out.push(&file, line, before);
            line += before.matches('\n').count();
            self.put(&file, line, text, &span, &other, content, depth, out);
            line += text[span.range.clone()].matches('\n').count();
            done = span.range.end;
        }
        out.push(&file, line, &text[done..]);
    }

    /// The file that stands in place of a piece.
    fn other(&mut self, file: &str, text: &str, span: &Span, content: Option<&str>) -> Option<String> {
        let (_, inside, _) = span.inside(text);
        let line = text[..span.range.start].matches('\n').count() + 1;
        match span.piece {
            Piece::Value if inside == "content" => content.map(ToOwned::to_owned),
            Piece::Block if span.keyword(text) == "include" => {
                let name = inside["include".len()..].trim();
                let name = name.strip_prefix(['"', '\'']).and_then(|name| name.strip_suffix(['"', '\'']));
                let found = name.filter(|name| name.starts_with('_')).and_then(|name| self.partial(name));
                if found.is_none() {
                    let message = match name {
                        Some(name) if name.starts_with('_') => format!("there is no partial {name}"),
                        _ => "include takes the name of a partial, such as {% include \"_footer.html\" %}".to_owned(),
                    };
                    self.problems.push(Problem::new(file, Some(line), message));
                }
                found
            }
            _ => None,
        }
    }

    /// `_footer.zh-Hant.html`, `_footer.zh.html`, `_footer.html`: the first that there is.
    fn partial(&self, name: &str) -> Option<String> {
        let (stem, extension) = name.rsplit_once('.')?;
        let own = self.language.into_iter().flat_map(Language::fallbacks).find_map(|tag| {
            self.files.keys().find(|file| {
                file.strip_suffix(extension).and_then(|file| file.strip_suffix('.')).is_some_and(|file| {
                    file.strip_prefix(stem)
                        .and_then(|file| file.strip_prefix('.'))
                        .is_some_and(|found| found.replace('_', "-").eq_ignore_ascii_case(tag))
                })
            })
        });
        own.cloned().or_else(|| self.files.contains_key(name).then(|| name.to_owned()))
    }

    #[allow(clippy::too_many_arguments, reason = "one place in one file, and what goes there")]
    fn put(
        &mut self,
        file: &Arc<str>,
        line: usize,
        text: &str,
        span: &Span,
        other: &str,
        content: Option<&str>,
        depth: usize,
        out: &mut Source,
    ) {
        if depth >= DEPTH || out.text.len() > MAX {
            self.problems.push(Problem::new(
                &**file,
                Some(line),
                format!("{other} is included within itself, or too deep"),
            ));
            return;
        }
        // What is set inside stays inside, as with an include of the template language.
        let (first, _, last) = span.inside(text);
        out.push(file, line, &format!("{{%{first} with %}}"));
        // Only the layout has a place for the content.
        let content = content.filter(|content| *content != other);
        self.add(other, content, depth + 1, out);
        out.push(file, line, &format!("{{% endwith {last}%}}"));
    }
}
