//! Templates: where they are from, and what a mail is made of.

pub(crate) mod css;
pub(crate) mod engine;
pub(crate) mod filters;
pub(crate) mod jinja;
pub(crate) mod markup;
pub(crate) mod mjml;
pub(crate) mod part;
pub(crate) mod source;
