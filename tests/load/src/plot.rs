//! Pictures: lines over time, as SVG.

use std::path::PathBuf;

use plotters::coord::Shift;
use plotters::prelude::*;
use system::results;

/// One picture: panels, one above the other, with the same x axis.
#[derive(Debug)]
pub struct Picture {
    /// What stands above it.
    pub title: String,
    /// What the x axis counts.
    pub x: String,
    /// From top to bottom.
    pub panels: Vec<Panel>,
}

/// One panel.
#[derive(Debug)]
pub struct Panel {
    /// What the y axis counts.
    pub y: String,
    /// The lines.
    pub series: Vec<Series>,
    /// Where the lines leave room for their names.
    pub legend: Corner,
}

/// One of the upper corners of a panel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Corner {
    /// Where time ends.
    #[default]
    Right,
    /// Where it begins.
    Left,
}

/// One line.
#[derive(Debug)]
pub struct Series {
    /// What the legend calls it; nothing for a panel that has one line only.
    pub name: String,
    /// Its points, from left to right.
    pub points: Vec<(f64, f64)>,
}

impl Series {
    /// A line with a name.
    pub fn new(name: &str, points: Vec<(f64, f64)>) -> Self {
        Self { name: name.to_owned(), points }
    }
}

const WIDTH: u32 = 900;
const PANEL: u32 = 260;
/// Colours that are told apart also by those who do not see red or green (Okabe and Ito).
const COLOURS: [RGBColor; 4] =
    [RGBColor(213, 94, 0), RGBColor(0, 114, 178), RGBColor(0, 158, 115), RGBColor(204, 121, 167)];

impl Picture {
    /// Writes it to `target/<of>/<name>.svg`, and tells where that is.
    pub fn write(&self, of: &str, name: &str) -> PathBuf {
        let path = results::folder(of).join(format!("{name}.svg"));
        std::fs::write(&path, self.svg()).unwrap();
        path
    }

    /// As a document.
    pub fn svg(&self) -> String {
        let mut svg = String::new();
        {
            let height = 40 + PANEL * u32::try_from(self.panels.len()).unwrap();
            let area = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
            // White, also where the page around it is dark.
            area.fill(&WHITE).unwrap();
            let area = area.titled(&self.title, ("sans-serif", 20)).unwrap();
            let end = self.panels.iter().flat_map(|panel| &panel.series).flat_map(|series| &series.points);
            let end = end.map(|(x, _)| *x).fold(1.0, f64::max);
            let last = self.panels.len() - 1;
            for (n, (panel, area)) in self.panels.iter().zip(area.split_evenly((self.panels.len(), 1))).enumerate() {
                panel.draw(&area, end, if n == last { &self.x } else { "" });
            }
            area.present().unwrap();
        }
        svg
    }
}

impl Panel {
    fn draw(&self, area: &DrawingArea<SVGBackend<'_>, Shift>, end: f64, x: &str) {
        let top = self.series.iter().flat_map(|series| &series.points).map(|(_, y)| *y).fold(1.0, f64::max) * 1.1;
        let mut chart = ChartBuilder::on(area)
            .margin(10)
            .set_label_area_size(LabelAreaPosition::Left, 80)
            .set_label_area_size(LabelAreaPosition::Bottom, 40)
            .build_cartesian_2d(0.0..end, 0.0..top)
            .unwrap();
        let text = ("sans-serif", 14);
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .x_desc(x)
            .y_desc(&self.y)
            .label_style(text)
            .y_label_formatter(&|y| grouped(*y))
            .x_label_formatter(&|x| grouped(*x))
            .draw()
            .unwrap();
        for (series, colour) in self.series.iter().zip(COLOURS.iter().cycle()) {
            let line = LineSeries::new(series.points.iter().copied(), colour.stroke_width(2));
            let drawn = chart.draw_series(line).unwrap();
            if !series.name.is_empty() {
                drawn
                    .label(&series.name)
                    .legend(move |(x, y)| Rectangle::new([(x, y - 1), (x + 16, y + 1)], colour.filled()));
            }
        }
        if self.series.iter().any(|series| !series.name.is_empty()) {
            let mut labels = chart.configure_series_labels();
            let corner = match self.legend {
                Corner::Right => SeriesLabelPosition::UpperRight,
                Corner::Left => SeriesLabelPosition::UpperLeft,
            };
            labels.position(corner).label_font(text).background_style(WHITE.mix(0.8));
            labels.draw().unwrap();
        }
    }
}

/// A number with its thousands apart: `300 000`.
fn grouped(number: f64) -> String {
    if number.fract() != 0.0 && number.abs() < 10.0 {
        return format!("{number:.1}");
    }
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n) % 3 == 0 {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        for (number, text) in [(0.0, "0"), (0.5, "0.5"), (999.0, "999"), (1_000.0, "1 000"), (300_000.0, "300 000")] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn a_picture_has_a_line_for_each_series_and_its_name() {
        let series = |name| Series::new(name, vec![(0.0, 1.0), (1.0, 2.0)]);
        let panel =
            || Panel { y: "mails/s".to_owned(), series: vec![series("in"), series("out")], legend: Corner::Left };
        let picture = Picture { title: "Dam".to_owned(), x: "seconds".to_owned(), panels: vec![panel(), panel()] };
        let svg = picture.svg();
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "a document: {svg}");
        for text in ["Dam", "seconds", "mails/s", "in", "out"] {
            assert!(svg.contains(&format!("\n{text}\n")), "{text} is written somewhere");
        }
        assert!(svg.matches("<polyline").count() >= 4, "four lines");
    }
}
