//! Errors of the database in words for people.

/// What an error of the database says, without the line of the server's own source that the driver adds to it; and what can
/// be done, where it is about TLS.
pub fn words(error: &(impl std::fmt::Display + ?Sized)) -> String {
    let mut text = error.to_string();
    if let Some((said, line)) = text.rsplit_once(" at line ")
        && !line.is_empty()
        && line.bytes().all(|byte| byte.is_ascii_digit())
    {
        text.truncate(said.len());
    }
    crate::tls::trouble(&text, "this port speaks no TLS").unwrap_or(text)
}
