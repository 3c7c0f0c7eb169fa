//! The files to begin with.

/// Names and contents of a small set of mail types that explains itself: one type in two languages, with a layout and a partial.
pub fn starter_files() -> &'static [(&'static str, &'static str)] {
    &[
        ("order.shipped.toml", include_str!("starter/order.shipped.toml")),
        ("order.shipped.en.subject", include_str!("starter/order.shipped.en.subject")),
        ("order.shipped.en.html", include_str!("starter/order.shipped.en.html")),
        ("order.shipped.en.txt", include_str!("starter/order.shipped.en.txt")),
        ("order.shipped.de.subject", include_str!("starter/order.shipped.de.subject")),
        ("order.shipped.de.html", include_str!("starter/order.shipped.de.html")),
        ("order.shipped.de.txt", include_str!("starter/order.shipped.de.txt")),
        ("layout.html", include_str!("starter/layout.html")),
        ("_footer.html", include_str!("starter/_footer.html")),
        ("_footer.de.html", include_str!("starter/_footer.de.html")),
    ]
}
