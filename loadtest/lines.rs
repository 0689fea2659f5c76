//! Curves as a picture: panels side by side, two in a row, each with one line per arm over a
//! logarithmic scale.

const PANEL: [f64; 2] = [380.0, 210.0];
const MARGIN: [f64; 2] = [46.0, 30.0];

/// A line per arm.
pub struct Panel {
    pub title: String,
    pub lines: Vec<Line>,
}

/// In the order of the first value.
pub struct Line {
    pub name: &'static str,
    pub points: Vec<(f64, f64)>,
}

/// What values are mapped to places with.
struct Scale {
    most: f64,
    /// Decades.
    from: f64,
    to: f64,
}

impl Scale {
    fn of(panel: &Panel) -> Scale {
        let points = || panel.lines.iter().flat_map(|line| &line.points);
        let low = points()
            .map(|point| point.1.max(1.0))
            .fold(f64::MAX, f64::min);
        let high = points().map(|point| point.1.max(1.0)).fold(1.0, f64::max);
        let from = low.min(high).log10().floor();
        Scale {
            most: points().map(|point| point.0).fold(1.0, f64::max),
            from,
            to: high.log10().ceil().max(from + 1.0),
        }
    }

    fn x(&self, value: f64) -> f64 {
        MARGIN[0] + value / self.most * (PANEL[0] - MARGIN[0] - 14.0)
    }

    fn y(&self, value: f64) -> f64 {
        let part = (value.max(1.0).log10() - self.from) / (self.to - self.from);
        PANEL[1] - MARGIN[1] - part * (PANEL[1] - MARGIN[1] - 24.0)
    }
}

pub fn draw(panels: &[Panel], across: &str, up: &str) -> String {
    let mut body = String::new();
    for (index, panel) in panels.iter().enumerate() {
        let (column, row) = ((index % 2) as f64, (index / 2) as f64);
        body.push_str(&format!(
            "<g transform=\"translate({:.0} {:.0})\">\n{}</g>\n",
            column * PANEL[0],
            row * PANEL[1],
            one(panel)
        ));
    }
    let height = panels.len().div_ceil(2) as f64 * PANEL[1];
    let mut names: Vec<&str> = Vec::new();
    for line in panels.iter().flat_map(|panel| &panel.lines) {
        if !names.contains(&line.name) {
            names.push(line.name);
        }
    }
    for (index, name) in names.iter().enumerate() {
        let x = 20 + index * 140;
        body.push_str(&format!(
            "<polyline points=\"{x},{0:.0} {1},{0:.0}\" class=\"{name}\"/>\n<text x=\"{2}\" y=\"{3:.0}\">{name}</text>\n",
            height + 12.0,
            x + 22,
            x + 28,
            height + 16.0
        ));
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {:.0} {:.0}\" font-family=\"sans-serif\" \
         font-size=\"11\">\n<style>\ntext {{ fill: #333 }} .title {{ font-weight: bold }} polyline {{ fill: none; \
         stroke-width: 2 }} .grid {{ stroke: #8884; stroke-width: 1 }} .direct {{ stroke: #999; stroke-dasharray: 3 3 \
         }} .nginx {{ stroke: #3a9d5d }} .haproxy {{ stroke: #7b61c9 }} .portcullis_plain {{ stroke: #1f7a8c }} \
         .portcullis_full {{ stroke: #d1495b }}\n@media (prefers-color-scheme: dark) {{ text {{ fill: #ddd }} }}\n\
         </style>\n{body}<text x=\"20\" y=\"{:.0}\">{up} over {across}, one core</text>\n</svg>\n",
        PANEL[0] * 2.0,
        height + 44.0,
        height + 36.0
    )
}

fn one(panel: &Panel) -> String {
    let scale = Scale::of(panel);
    let mut out = format!(
        "<text x=\"{:.0}\" y=\"14\" class=\"title\">{}</text>\n",
        MARGIN[0], panel.title
    );
    let mut decade = scale.from;
    while decade <= scale.to {
        let value = 10_f64.powf(decade);
        let y = scale.y(value);
        out.push_str(&format!(
            "<polyline points=\"{:.0},{y:.1} {:.0},{y:.1}\" class=\"grid\"/>\n\
             <text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{value:.0}</text>\n",
            MARGIN[0],
            PANEL[0] - 14.0,
            MARGIN[0] - 4.0,
            y + 4.0
        ));
        decade += 1.0;
    }
    for part in [0.25, 0.5, 0.75, 1.0] {
        let value = scale.most * part;
        out.push_str(&format!(
            "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"middle\">{value:.0}</text>\n",
            scale.x(value),
            PANEL[1] - MARGIN[1] + 14.0
        ));
    }
    for line in &panel.lines {
        let places = line.points.iter();
        let places = places.map(|&(x, y)| format!("{:.1},{:.1}", scale.x(x), scale.y(y)));
        let places = places.collect::<Vec<_>>().join(" ");
        out.push_str(&format!(
            "<polyline points=\"{places}\" class=\"{}\"/>\n",
            line.name
        ));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_point_lies_in_its_panel() {
        let panel = Panel {
            title: "GET, p50".to_owned(),
            lines: vec![Line {
                name: "nginx",
                points: vec![(0.0, 0.0), (10.0, 1.0), (50.0, 99_999.0)],
            }],
        };
        let scale = Scale::of(&panel);
        for &(x, y) in &panel.lines[0].points {
            let (x, y) = (scale.x(x), scale.y(y));
            assert!((MARGIN[0]..PANEL[0]).contains(&x) && (20.0..PANEL[1] - 20.0).contains(&y));
        }
        assert!(scale.y(10.0) > scale.y(100.0), "more is higher up");
        // One value alone makes a scale too.
        let flat = Panel {
            title: String::new(),
            lines: vec![Line {
                name: "nginx",
                points: vec![(5.0, 100.0)],
            }],
        };
        assert!(Scale::of(&flat).y(100.0).is_finite());
        assert!(!draw(&[panel, flat], "a", "b").contains("NaN"));
    }
}
