//! Text out of HTML, for mails whose type has no text of its own.

/// Columns of a line.
const WIDTH: usize = 76;

/// What the HTML says, links as footnotes. Lines end in CRLF.
///
/// # Errors
/// HTML that can't be laid out, in a sentence.
pub(crate) fn from_html(html: &str) -> Result<String, String> {
    let text = html2text::config::plain()
        // Tables lay out a mail, and seldom tell anything.
        .raw_mode(true)
        .allow_width_overflow()
        .no_link_wrapping()
        .string_from_read(html.as_bytes(), WIDTH)
        .map_err(|error| format!("no text can be made of the HTML: {error}"))?;
    let lines: Vec<_> = text.trim().lines().map(str::trim_end).collect();
    let mut out = String::with_capacity(text.len());
    let mut blank = false;
    for line in lines {
        // One empty line is as good as five.
        if line.is_empty() && std::mem::replace(&mut blank, true) {
            continue;
        }
        blank = line.is_empty();
        out.push_str(line);
        out.push_str("\r\n");
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_becomes_text_that_says_the_same() {
        let html = "<html><head><title>no</title><style>p{color:red}</style></head><body><h1>Hi</h1><table><tr><td>\
                    <p>One &amp; two</p></td></tr></table><ul><li>a</li><li>b</li></ul>\
                    <a href=\"https://example.com/x\">See</a></body></html>";
        let text = from_html(html).unwrap();
        for said in ["Hi", "One & two", "* a", "* b", "See", "https://example.com/x"] {
            assert!(text.contains(said), "{said} in\n{text}");
        }
        assert!(!text.contains("color") && !text.contains("no\r\n"), "{text}");
        assert!(text.split("\r\n").all(|line| !line.contains(['\r', '\n'])));
    }

    #[test]
    fn html_of_any_depth_is_borne() {
        for element in ["<div>", "<table><tr><td>", "<ul><li>", "<b>", "<blockquote>"] {
            let html = format!("{}x", element.repeat(3_000));
            let _ = from_html(&html);
        }
    }
}
