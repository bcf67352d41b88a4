//! Draws a day with plotters and a font of our own (servers have none).

use std::path::Path;
use std::sync::OnceLock;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontStyle, register_font};

use super::{ChartError, DayPicture, TradeMark};
use crate::market::time::ist;
use crate::market::{Price, Timestamp};

const SIZE: (u32, u32) = (1280, 720);
const FONT: &[u8] = include_bytes!("fonts/DejaVuSans-subset.ttf");

const PAPER: RGBColor = RGBColor(252, 252, 250);
const INK: RGBColor = RGBColor(40, 44, 52);
const FAINT: RGBColor = RGBColor(226, 228, 232);
const RISE: RGBColor = RGBColor(38, 140, 104);
const FALL: RGBColor = RGBColor(200, 70, 66);
const PIVOT: RGBColor = RGBColor(92, 104, 180);

type Plane<'a> = ChartContext<
    'a,
    BitMapBackend<'a>,
    Cartesian2d<plotters::coord::types::RangedCoordf64, plotters::coord::types::RangedCoordf64>,
>;

fn font(size: i32, color: RGBColor) -> TextStyle<'static> {
    static REGISTERED: OnceLock<bool> = OnceLock::new();
    REGISTERED.get_or_init(|| register_font("sans-serif", FontStyle::Normal, FONT).is_ok());
    ("sans-serif", size).into_font().color(&color)
}

/// Draws the picture into a PNG file.
///
/// # Errors
/// When there are no candles, or the file cannot be written.
pub fn render(picture: &DayPicture, path: &Path) -> Result<(), ChartError> {
    if picture.candles.is_empty() {
        return Err(ChartError::Empty);
    }
    draw(picture, path)
        .map_err(|error| ChartError::Draw { path: path.to_owned(), reason: error.to_string() })
}

type Drawn = Result<(), Box<dyn std::error::Error>>;

fn draw(picture: &DayPicture, path: &Path) -> Drawn {
    let area = BitMapBackend::new(path, SIZE).into_drawing_area();
    area.fill(&PAPER)?;
    heading(picture, &area)?;
    let (low, high) = price_range(picture);
    let (from, to) = time_range(picture);
    let body = area.margin(64, 8, 8, 8);
    let mut plane = ChartBuilder::on(&body)
        .x_label_area_size(28)
        .y_label_area_size(84)
        .margin_right(120)
        .build_cartesian_2d(from..to, low..high)?;
    plane
        .configure_mesh()
        .light_line_style(PAPER)
        .bold_line_style(FAINT)
        .axis_style(FAINT)
        .x_labels(14)
        .y_labels(10)
        .x_label_formatter(&|minute| clock_label(*minute))
        .y_label_formatter(&|price| format!("{price:.0}"))
        .label_style(font(14, INK))
        .draw()?;
    levels(picture, &mut plane, (from, to), (low, high))?;
    candles(picture, &mut plane)?;
    for trade in &picture.trades {
        mark(trade, &mut plane)?;
    }
    area.present()?;
    Ok(())
}

fn heading(picture: &DayPicture, area: &DrawingArea<BitMapBackend<'_>, Shift>) -> Drawn {
    area.draw(&Text::new(picture.title.clone(), (24, 14), font(24, INK)))?;
    area.draw(&Text::new(picture.subtitle.clone(), (24, 44), font(16, INK)))?;
    Ok(())
}

/// Minutes since midnight in India.
fn minute(at: Timestamp) -> f64 {
    use chrono::Timelike as _;
    f64::from(ist(at).num_seconds_from_midnight()) / 60.0
}

fn clock_label(minute: f64) -> String {
    let minute = minute.round() as i64;
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

fn rupees(price: Price) -> f64 {
    price.to_f64_rupees()
}

fn time_range(picture: &DayPicture) -> (f64, f64) {
    let first = picture.candles.first().map_or(0.0, |candle| minute(candle.start));
    let last = picture.candles.last().map_or(0.0, |candle| minute(candle.start));
    (first - 3.0, last + 6.0)
}

fn price_range(picture: &DayPicture) -> (f64, f64) {
    let low = picture.candles.iter().map(|candle| candle.low).min().unwrap_or_default();
    let high = picture.candles.iter().map(|candle| candle.high).max().unwrap_or_default();
    let margin = (rupees(high) - rupees(low)).max(1.0) * 0.08;
    (rupees(low) - margin, rupees(high) + margin)
}

fn levels(
    picture: &DayPicture,
    plane: &mut Plane<'_>,
    (from, to): (f64, f64),
    (low, high): (f64, f64),
) -> Drawn {
    for (name, price) in &picture.levels {
        let at = rupees(*price);
        if at < low || at > high {
            continue;
        }
        plane.draw_series(DashedLineSeries::new(
            [(from, at), (to, at)],
            6,
            4,
            PIVOT.mix(0.7).stroke_width(1),
        ))?;
        let style = font(13, PIVOT).pos(Pos::new(HPos::Left, VPos::Center));
        let label =
            EmptyElement::at((to, at)) + Text::new(format!("{name} {price}"), (6, 0), style);
        plane.plotting_area().draw(&label)?;
    }
    Ok(())
}

fn candles(picture: &DayPicture, plane: &mut Plane<'_>) -> Drawn {
    let width = candle_minutes(picture) * 0.35;
    for candle in &picture.candles {
        let middle = minute(candle.start) + candle_minutes(picture) / 2.0;
        let color = if candle.close >= candle.open { RISE } else { FALL };
        let (open, close) = (rupees(candle.open), rupees(candle.close));
        plane.plotting_area().draw(&PathElement::new(
            vec![(middle, rupees(candle.low)), (middle, rupees(candle.high))],
            color.stroke_width(1),
        ))?;
        plane.plotting_area().draw(&Rectangle::new(
            [(middle - width, open.max(close)), (middle + width, open.min(close))],
            color.filled(),
        ))?;
    }
    Ok(())
}

fn candle_minutes(picture: &DayPicture) -> f64 {
    picture
        .candles
        .windows(2)
        .map(|pair| minute(pair[1].start) - minute(pair[0].start))
        .fold(3.0_f64, f64::min)
        .max(1.0)
}

fn mark(trade: &TradeMark, plane: &mut Plane<'_>) -> Drawn {
    let color = if trade.won { RISE } else { FALL };
    let entry = (minute(trade.entry.0), rupees(trade.entry.1));
    let stop = rupees(trade.stop);
    let until = trade.exit.map_or(entry.0 + 9.0, |(at, _)| minute(at));
    plane.draw_series(DashedLineSeries::new(
        [(entry.0, stop), (until, stop)],
        2,
        3,
        FALL.stroke_width(1),
    ))?;
    let arrow = if trade.long { "▲" } else { "▼" };
    let vertical = if trade.long { VPos::Top } else { VPos::Bottom };
    let style = font(20, INK).pos(Pos::new(HPos::Center, vertical));
    plane.plotting_area().draw(&(EmptyElement::at(entry) + Text::new(arrow, (0, 0), style)))?;
    let Some((at, price)) = trade.exit else { return Ok(()) };
    let exit = (minute(at), rupees(price));
    plane
        .plotting_area()
        .draw(&PathElement::new(vec![entry, exit], color.mix(0.8).stroke_width(2)))?;
    plane.plotting_area().draw(&Circle::new(exit, 5, color.filled()))?;
    let style = font(14, color).pos(Pos::new(HPos::Left, VPos::Bottom));
    plane
        .plotting_area()
        .draw(&(EmptyElement::at(exit) + Text::new(trade.label.clone(), (8, -6), style)))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::Candle;
    use crate::market::time::{from_ist, hms};

    #[test]
    fn draws_a_day() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("day.png");
        let date = chrono::NaiveDate::from_ymd_opt(2026, 11, 23).unwrap();
        let start = from_ist(date, hms(9, 15, 0));
        let candle = |index: i64| {
            let base = 8_108_000 + (index * 37 % 11 - 5) * 1_500 + index * 200;
            Candle {
                start: start + chrono::TimeDelta::minutes(3 * index),
                open: Price::from_paise(base),
                high: Price::from_paise(base + 2_500),
                low: Price::from_paise(base - 1_500),
                close: Price::from_paise(base + 1_000),
                volume: 0,
            }
        };
        let candles: Vec<Candle> = (0..120).map(candle).collect();
        let mark = TradeMark {
            entry: (candles[15].start, candles[15].close),
            exit: Some((candles[60].start, candles[60].close)),
            stop: candles[15].low,
            long: true,
            label: "TARGET ₹+5,048.49".into(),
            won: true,
        };
        let picture = DayPicture {
            title: "SENSEX · Mon 23 Nov 2026 · DEMO".into(),
            subtitle: "1 trade".into(),
            candles,
            levels: vec![("R1".into(), Price::from_rupees(81_200))],
            trades: vec![mark],
        };
        render(&picture, &path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(&bytes[1..4], b"PNG");
        assert!(bytes.len() > 10_000);
        if let Some(copy) = std::env::var_os("PIVOT_KEEP_PICTURE") {
            std::fs::copy(&path, copy).unwrap();
        }
        let empty = DayPicture { candles: Vec::new(), ..picture };
        assert!(matches!(render(&empty, &path), Err(ChartError::Empty)));
    }
}
