//! Parameters, their values, and every combination of them.

/// A parameter with the values that it takes, as they are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Axis {
    pub(super) key: String,
    pub(super) values: Vec<String>,
}

/// Values of one parameter.
const VALUES_MAX: i64 = 10_000;

impl Axis {
    /// Reads `key=a,b,c` or `key=from..to/step`.
    pub(super) fn parse(text: &str) -> Result<Axis, String> {
        let (key, values) = text.split_once('=').ok_or("expected KEY=VALUES")?;
        let key = key.trim().to_string();
        let values = match values.split_once("..") {
            Some((from, rest)) => {
                let (to, step) = rest.split_once('/').ok_or("expected FROM..TO/STEP")?;
                span(from.trim(), to.trim(), step.trim())?
            }
            None => values.split(',').map(|value| value.trim().to_string()).collect(),
        };
        if key.is_empty() || values.iter().any(String::is_empty) {
            return Err("expected KEY=A,B,C or KEY=FROM..TO/STEP".to_string());
        }
        if let Some(twice) = values.iter().enumerate().find(|(at, it)| values[..*at].contains(it)) {
            return Err(format!("{} is there twice", twice.1));
        }
        Ok(Axis { key, values })
    }
}

/// Every value of a span, with as many decimals as the finest of the three:
/// counted in whole steps, so that nothing is lost to rounding.
fn span(from: &str, to: &str, step: &str) -> Result<Vec<String>, String> {
    let decimals = |text: &str| text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let scale = [from, to, step].into_iter().map(decimals).max().unwrap_or(0);
    let [from, to, step] = [whole(from, scale)?, whole(to, scale)?, whole(step, scale)?];
    if step <= 0 || from > to {
        return Err("expected FROM..TO/STEP with FROM up to TO and a step above 0".to_string());
    }
    let count = (to - from) / step + 1;
    if count > VALUES_MAX {
        return Err(format!("{count} values; {VALUES_MAX} are the most"));
    }
    Ok((0..count).map(|index| decimal(from + index * step, scale)).collect())
}

/// A decimal number in units of its last decimal.
fn whole(text: &str, scale: usize) -> Result<i64, String> {
    let wrong = || format!("expected a number, was {text:?}");
    let (integer, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |part: &str| part.chars().all(|digit| digit.is_ascii_digit());
    let unsigned = integer.strip_prefix('-').unwrap_or(integer);
    if unsigned.is_empty() || !is_number(unsigned) || !is_number(fraction) || text.len() > 15 {
        return Err(wrong());
    }
    format!("{integer}{fraction:0<scale$}").parse().map_err(|_| wrong())
}

fn decimal(value: i64, scale: usize) -> String {
    if scale == 0 {
        return value.to_string();
    }
    let digits = format!("{:0>width$}", value.unsigned_abs(), width = scale + 1);
    let (integer, fraction) = digits.split_at(digits.len() - scale);
    format!("{}{integer}.{fraction}", if value < 0 { "-" } else { "" })
}

/// Every combination, the values of the last parameter changing fastest.
pub(super) fn points(axes: &[Axis], most: usize) -> Result<Vec<Vec<String>>, String> {
    for (at, axis) in axes.iter().enumerate() {
        if axes[..at].iter().any(|before| before.key == axis.key) {
            return Err(format!("--vary {} is there twice", axis.key));
        }
    }
    let count = axes.iter().try_fold(1_usize, |count, axis| count.checked_mul(axis.values.len()));
    if count.is_none_or(|count| count > most) {
        return Err(format!("the grid has more than {most} points"));
    }
    let mut points = vec![Vec::new()];
    for axis in axes {
        let longer = |point: &Vec<String>| {
            let with = |value: &String| point.iter().chain([value]).cloned().collect();
            axis.values.iter().map(with).collect::<Vec<Vec<String>>>()
        };
        points = points.iter().flat_map(longer).collect();
    }
    Ok(points)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Vec<String> {
        Axis::parse(text).unwrap().values
    }

    #[test]
    fn lists_and_spans_are_written_out() {
        assert_eq!(values("a=15, 30"), ["15", "30"]);
        assert_eq!(values("a=1..4/1"), ["1", "2", "3", "4"]);
        assert_eq!(values("a=0.1..0.35/0.1"), ["0.10", "0.20", "0.30"]);
        assert_eq!(values("a=-0.5..0.5/0.5"), ["-0.5", "0.0", "0.5"]);
        assert_eq!(values("a=09:30,10:00"), ["09:30", "10:00"]);
        for bad in
            ["a", "=1", "a=", "a=1,,2", "a=1..2", "a=2..1/1", "a=1..2/0", "a=x..2/1", "a=1,1"]
        {
            assert!(Axis::parse(bad).is_err(), "{bad}");
        }
        assert!(Axis::parse("a=0..1/0.0000001").is_err());
    }

    #[test]
    fn the_last_parameter_changes_fastest() {
        let axes = ["a=1,2", "b=x,y"].map(|text| Axis::parse(text).unwrap());
        let found: Vec<String> = points(&axes, 4).unwrap().iter().map(|it| it.join("")).collect();
        assert_eq!(found, ["1x", "1y", "2x", "2y"]);
        assert!(points(&axes, 3).is_err());
        let twice = ["a=1", "a=2"].map(|text| Axis::parse(text).unwrap());
        assert!(points(&twice, 9).is_err());
    }
}
