//! The results as a picture: CPU per request and added latency, an arm a bar.

use crate::report::{Figures, Results};
use crate::workload::Kind;

const WIDTH: usize = 760;
const LEFT: usize = 150;
const BAR: usize = 16;
const GAP: usize = 6;
const PANEL: usize = 46;

/// One group of bars.
struct Panel {
    title: String,
    unit: &'static str,
    bars: Vec<(&'static str, f64)>,
}

pub fn svg(results: &Results) -> String {
    type Read = fn(Figures) -> Option<f64>;
    let measures: [(&str, &str, Read); 3] = [
        ("CPU per request", "us", |figures| Some(figures.cpu_us)),
        ("added latency, median", "us", |figures| {
            figures.added_us.map(|us| us[0])
        }),
        ("added latency, 99th percentile", "us", |figures| {
            figures.added_us.map(|us| us[1])
        }),
    ];
    let panels = measures.iter().flat_map(|(title, unit, read)| {
        Kind::ALL.map(|kind| Panel {
            title: format!("{title}, {}", kind.name().to_uppercase()),
            unit,
            bars: results
                .arms()
                .filter(|arm| *arm != "direct")
                .filter_map(|arm| Some((arm, read(results.figures(arm, kind))?)))
                .collect(),
        })
    });
    let panels: Vec<_> = panels.filter(|panel| !panel.bars.is_empty()).collect();
    draw(&panels, results.rate)
}

fn draw(panels: &[Panel], rate: f64) -> String {
    let mut y = 20;
    let mut body = String::new();
    for panel in panels {
        body.push_str(&format!(
            "<text x=\"10\" y=\"{}\" class=\"title\">{} ({})</text>\n",
            y + 14,
            panel.title,
            panel.unit
        ));
        y += PANEL - 20;
        let longest = panel
            .bars
            .iter()
            .map(|(_, value)| *value)
            .fold(f64::MIN_POSITIVE, f64::max);
        for (arm, value) in &panel.bars {
            let room = (WIDTH - LEFT - 80) as f64;
            // The difference of two measurements may be below zero; its bar is empty.
            let width = value.max(0.0) / longest * room;
            let class = if arm.starts_with("portcullis") {
                "ours"
            } else {
                "peer"
            };
            body.push_str(&format!(
                "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{arm}</text>\n\
                 <rect x=\"{LEFT}\" y=\"{y}\" width=\"{width:.1}\" height=\"{BAR}\" class=\"{class}\"/>\n\
                 <text x=\"{:.1}\" y=\"{}\">{value:.1}</text>\n",
                LEFT - 8,
                y + 12,
                LEFT as f64 + width + 6.0,
                y + 12,
            ));
            y += BAR + GAP;
        }
        y += 20;
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<style>\ntext {{ fill: #333 }} .title {{ font-weight: bold }} .peer {{ fill: #9aa5b1 }} \
         .ours {{ fill: #1f7a8c }}\n@media (prefers-color-scheme: dark) {{ text {{ fill: #ddd }} .peer {{ fill: \
         #6b7785 }} .ours {{ fill: #4fb3c8 }} }}\n</style>\n{body}<text x=\"10\" y=\"{}\">One core; added latency at \
         {rate:.0} requests per second. Shorter is better.</text>\n</svg>\n",
        y + 30,
        y + 10,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The element names in order, with every tag opened and closed in its place.
    fn elements(mut text: &str) -> Vec<&str> {
        let (mut open, mut seen) = (Vec::new(), Vec::new());
        while let Some((before, rest)) = text.split_once('<') {
            assert!(!before.contains('>'), "{before}");
            let (tag, rest) = rest.split_once('>').unwrap();
            text = rest;
            assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
            let name = tag.split([' ', '/']).find(|name| !name.is_empty()).unwrap();
            if tag.starts_with('/') {
                assert_eq!(open.pop(), Some(name));
            } else {
                seen.push(name);
                if !tag.ends_with('/') {
                    open.push(name);
                }
            }
        }
        assert!(open.is_empty(), "{open:?}");
        seen
    }

    #[test]
    fn the_picture_is_well_formed_and_shows_every_arm() {
        let text = svg(&crate::report::tests::example());
        let elements = elements(&text);
        assert_eq!(elements[0], "svg");
        let bars = elements.iter().filter(|name| **name == "rect").count();
        assert_eq!(bars, 2 * 6);
        assert!(text.contains("portcullis_full") && !text.contains('&'));
        assert!(!text.contains("NaN") && !text.contains("inf") && !text.contains("\"-"));
    }

    #[test]
    fn latency_without_a_direct_arm_is_not_drawn() {
        let mut results = Results::default();
        for kind in Kind::ALL {
            let latency = hdrhistogram::Histogram::new(3).unwrap();
            let sample = crate::report::Sample {
                rps: 1.0,
                cpu_us: 1.0,
                errors: 0,
                latency,
            };
            results.add("nginx", kind, sample);
        }
        let text = svg(&results);
        assert!(text.contains("CPU per request") && !text.contains("median"));
        elements(&text);
    }
}
