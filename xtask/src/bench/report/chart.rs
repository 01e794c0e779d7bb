//! Bar charts that are tables: what is drawn is also read.
//!
//! Each row has its name, its bar, and its figure as text. The bars are boxes of a width in percent, styled
//! by the
//! sheet, not a picture of a plotting crate, because a picture neither follows the reader's theme nor the
//! width of a
//! phone, and says nothing to a reader who cannot see it.

use maud::{Markup, html};

use super::number::{number, short};
use super::scale::Scale;
use super::variant;

/// A bar and its texts.
#[derive(Clone, Debug, Default)]
pub(super) struct Bar {
    /// What it is.
    pub(super) label: String,
    /// Whose colour it has.
    pub(super) variant: String,
    /// How long it is.
    pub(super) value: f64,
    /// From where to where the figure may lie.
    pub(super) range: Option<(f64, f64)>,
    /// The figure as text.
    pub(super) text: String,
    /// What else there is to say, a text for each further column.
    pub(super) more: Vec<String>,
}

impl Bar {
    /// Makes the bar of a variant of which there are many figures: the median, with the least and the most.
    pub(super) fn of_many(variant: &str, mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        let median = values[values.len() / 2];
        Some(Self {
            label: variant.to_owned(),
            variant: variant.to_owned(),
            value: median,
            range: (least < most).then_some((least, most)),
            text: number(median),
            more: vec![number(least), number(most), number(values.len() as f64)],
        })
    }
}

/// Bars under a title of their own.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) title: String,
    pub(super) bars: Vec<Bar>,
}

/// A chart.
#[derive(Debug)]
pub(super) struct Chart<'a> {
    /// What is shown.
    pub(super) caption: Markup,
    /// What the labels are, what the figures are, and what the further columns are.
    pub(super) columns: (&'a str, &'a str, &'a [&'a str]),
    pub(super) scale: &'a Scale,
    pub(super) groups: &'a [Group],
}

impl Chart<'_> {
    /// Draws the chart.
    pub(super) fn draw(&self) -> Markup {
        let (labels, figures, more) = self.columns;
        let marks: Vec<(f64, f64)> =
            self.scale.marks().into_iter().map(|mark| (mark, self.scale.percent(mark))).collect();
        // The style sheet draws a line at each of these.
        let lines: Vec<String> = marks.iter().map(|(_, percent)| format!("{percent:.3}% 0")).collect();
        let class = if self.scale.is_logarithmic() { "chart logarithmic" } else { "chart" };
        html! {
            table class=(class) style=(format!("--marks:{}", lines.join(","))) {
                caption { (self.caption) }
                thead {
                    tr {
                        th scope="col" { (labels) }
                        th.axis.many[marks.len() > 4] scope="col" {
                            span.unseen { (if self.scale.is_logarithmic() { "logarithmic scale \
                                " } else { "scale " }) }
                            @for (mark, percent) in &marks {
                                span.mark style=(format!("left:{percent:.3}%")) { (short(*mark)) " " }
                            }
                        }
                        th.figure scope="col" { (figures) }
                        @for column in more { th.more scope="col" { (column) } }
                    }
                }
                @for group in self.groups {
                    tbody {
                        @if !group.title.is_empty() {
                            tr.title { th scope="rowgroup" colspan=(3 + more.len()) { (group.title) } }
                        }
                        @for bar in &group.bars { (self.bar(bar)) }
                    }
                }
            }
        }
    }

    fn bar(&self, bar: &Bar) -> Markup {
        let percent = |value| self.scale.percent(value);
        html! {
            tr class=(variant::class(&bar.variant)) {
                th scope="row" { span.label { (bar.label) } }
                td.track {
                    span.bar style=(format!("width:{:.3}%", percent(bar.value))) {}
                    @if let Some((low, high)) = bar.range {
                        span.range style=(format!(
                            "left:{:.3}%;width:{:.3}%", percent(low), percent(high) - percent(low)
                        )) {}
                    }
                }
                td.figure { (bar.text) }
                @for (index, _) in self.columns.2.iter().enumerate() {
                    td.more { (bar.more.get(index).map_or("", String::as_str)) }
                }
            }
        }
    }
}

/// Makes the scale that fits all bars of some groups.
pub(super) fn scale_of<'a>(groups: impl IntoIterator<Item = &'a Group>) -> Scale {
    let bars = groups.into_iter().flat_map(|group| &group.bars);
    Scale::of(bars.flat_map(|bar| {
        let (low, high) = bar.range.unwrap_or((bar.value, bar.value));
        [bar.value, low, high]
    }))
}
