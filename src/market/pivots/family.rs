//! The families and their formulas.

use std::fmt;

use num_rational::Ratio;

use super::{Exact, Input, PivotError};

/// A family of pivot levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// Floor pivots; R3 = H + 2(PP − L). TradingView's "Traditional".
    Traditional,
    /// What a Kite chart draws (TradingView's "Classic"): R3 = PP + 2(H − L).
    Kite,
    /// The variant for option premiums: R4 = R3 + (R2 − R1),
    /// R5 = R4 + (R3 − R2).
    Premium,
    /// PP ± 0.382, 0.618 and 1.000 of the range.
    Fibonacci,
    /// Camarilla with H5 = (H / L) · C.
    CamarillaA,
    /// Camarilla with H6 = (H / L) · C and H5 between.
    CamarillaB,
    /// Woodie, weighing today's open: unknown before 09:15.
    Woodie,
    /// Woodie, weighing the previous close twice.
    WoodieClose,
    /// DeMark's three levels, which depend on the colour of the candle.
    DeMark,
}

impl Family {
    /// Every family.
    pub const ALL: [Family; 9] = [
        Family::Traditional,
        Family::Kite,
        Family::Premium,
        Family::Fibonacci,
        Family::CamarillaA,
        Family::CamarillaB,
        Family::Woodie,
        Family::WoodieClose,
        Family::DeMark,
    ];

    /// The name used in settings and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Family::Traditional => "traditional",
            Family::Kite => "kite",
            Family::Premium => "premium",
            Family::Fibonacci => "fibonacci",
            Family::CamarillaA => "camarilla",
            Family::CamarillaB => "camarilla-b",
            Family::Woodie => "woodie",
            Family::WoodieClose => "woodie-close",
            Family::DeMark => "demark",
        }
    }

    /// Reads a name.
    pub fn parse(text: &str) -> Option<Family> {
        Family::ALL.into_iter().find(|family| family.as_str() == text)
    }

    /// True when the levels need today's open.
    pub const fn needs_today_open(self) -> bool {
        match self {
            Family::Woodie => true,
            Family::Traditional
            | Family::Kite
            | Family::Premium
            | Family::Fibonacci
            | Family::CamarillaA
            | Family::CamarillaB
            | Family::WoodieClose
            | Family::DeMark => false,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

type Named = Vec<(&'static str, Exact)>;

/// Names and values of a family, in no particular order.
pub(super) fn formulas(family: Family, input: &Input) -> Result<Named, PivotError> {
    let Input { high, low, close, .. } = *input;
    let floor = Floor { pp: (high + low + close) / 3, high, low };
    Ok(match family {
        Family::Traditional => floor.traditional(),
        Family::Kite => floor.kite(),
        Family::Premium => floor.premium(),
        Family::Fibonacci => floor.fibonacci(),
        Family::CamarillaA | Family::CamarillaB => camarilla(family, input, floor.pp),
        Family::Woodie => {
            let open = input.today_open.ok_or(PivotError::NeedsTodayOpen { family })?;
            Floor { pp: (high + low + open * 2) / 4, high, low }.woodie()
        }
        Family::WoodieClose => Floor { pp: (high + low + close * 2) / 4, high, low }.woodie(),
        Family::DeMark => demark(input).ok_or(PivotError::NeedsOpen { family })?,
    })
}

/// What the floor-like families share: a centre and the session's extremes.
struct Floor {
    pp: Exact,
    high: Exact,
    low: Exact,
}

impl Floor {
    fn range(&self) -> Exact {
        self.high - self.low
    }

    fn first_two(&self) -> Named {
        let Floor { pp, high, low } = *self;
        vec![
            ("PP", pp),
            ("R1", pp * 2 - low),
            ("S1", pp * 2 - high),
            ("R2", pp + self.range()),
            ("S2", pp - self.range()),
        ]
    }

    fn traditional(&self) -> Named {
        let Floor { pp, high, low } = *self;
        let mut levels = self.first_two();
        let further = [("R3", "S3", 2), ("R4", "S4", 3), ("R5", "S5", 4)]
            .into_iter()
            .flat_map(|(r, s, n)| [(r, pp * n + high - low * n), (s, pp * n - high * n + low)]);
        levels.extend(further);
        levels
    }

    fn kite(&self) -> Named {
        let (pp, range) = (self.pp, self.range());
        let mut levels = self.first_two();
        levels.extend([
            ("R3", pp + range * 2),
            ("S3", pp - range * 2),
            ("R4", pp + range * 3),
            ("S4", pp - range * 3),
        ]);
        levels
    }

    fn premium(&self) -> Named {
        let Floor { pp, high, low } = *self;
        let (r1, r2, r3) = (pp * 2 - low, pp + self.range(), high + (pp - low) * 2);
        let r4 = r3 + (r2 - r1);
        let mut levels = self.first_two();
        levels.extend([
            ("R3", r3),
            ("S3", low - (high - pp) * 2),
            ("R4", r4),
            ("R5", r4 + (r3 - r2)),
        ]);
        levels
    }

    fn fibonacci(&self) -> Named {
        let (pp, range) = (self.pp, self.range());
        let (first, second) = (range * Ratio::new(382, 1000), range * Ratio::new(618, 1000));
        vec![
            ("PP", pp),
            ("R1", pp + first),
            ("S1", pp - first),
            ("R2", pp + second),
            ("S2", pp - second),
            ("R3", pp + range),
            ("S3", pp - range),
        ]
    }

    fn woodie(&self) -> Named {
        let Floor { pp, high, low } = *self;
        let (r3, s3) = (high + (pp - low) * 2, low - (high - pp) * 2);
        let mut levels = self.first_two();
        levels.extend([
            ("R3", r3),
            ("S3", s3),
            ("R4", r3 + self.range()),
            ("S4", s3 - self.range()),
        ]);
        levels
    }
}

fn camarilla(family: Family, input: &Input, pp: Exact) -> Named {
    let Input { high, low, close, .. } = *input;
    let step = |divisor: i128| (high - low) * Ratio::new(11, 10 * divisor);
    let (h1, h2, h3, h4) = (close + step(12), close + step(6), close + step(4), close + step(2));
    let ratio_target = high / low * close;
    let beyond = Ratio::new(1168, 1000);
    let (h5, h6) = if family == Family::CamarillaB {
        (h4 + (h4 - h3) * beyond, ratio_target)
    } else {
        (ratio_target, ratio_target + (ratio_target - h4) * beyond)
    };
    let mirror = |value: Exact| close * 2 - value;
    let pairs = [
        ("H1", "L1", h1),
        ("H2", "L2", h2),
        ("H3", "L3", h3),
        ("H4", "L4", h4),
        ("H5", "L5", h5),
        ("H6", "L6", h6),
    ];
    let mut levels = vec![("PP", pp)];
    levels.extend(pairs.into_iter().flat_map(|(h, l, value)| [(h, value), (l, mirror(value))]));
    levels
}

fn demark(input: &Input) -> Option<Named> {
    let Input { high, low, close, .. } = *input;
    let x = match close.cmp(&input.open?) {
        std::cmp::Ordering::Less => high + low * 2 + close,
        std::cmp::Ordering::Greater => high * 2 + low + close,
        std::cmp::Ordering::Equal => high + low + close * 2,
    };
    Some(vec![("PP", x / 4), ("R1", x / 2 - low), ("S1", x / 2 - high)])
}
