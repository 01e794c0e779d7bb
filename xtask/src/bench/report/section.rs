//! Sections of the page, and what folds away.

use maud::{Markup, html};

/// A part of the page that the list of contents leads to.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    /// What the section answers and how to read it.
    pub(super) about: Markup,
    pub(super) body: Markup,
}

impl Section {
    pub(super) fn draw(&self) -> Markup {
        html! {
            section id=(self.id) aria-labelledby=(format!("{}-title", self.id)) {
                h2 id=(format!("{}-title", self.id)) { (self.title) }
                div.about { (self.about) }
                (self.body)
            }
        }
    }
}

/// Folds something long away under one line.
pub(super) fn folded(summary: &Markup, is_open: bool, body: &Markup) -> Markup {
    html! {
        details open[is_open] {
            summary { (summary) }
            div.folded { (body) }
        }
    }
}

/// Lets something wide scroll by itself, by keyboard too.
pub(super) fn scrolling(label: &str, body: &Markup) -> Markup {
    html! { div.scroll role="region" aria-label=(label) tabindex="0" { (body) } }
}
