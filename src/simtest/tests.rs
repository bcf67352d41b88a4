//! A modest number of days on every build; `pivotctl simtest` plays more.

use super::*;

fn play(strategy: &str, profile: Profile, seeds: std::ops::Range<u64>) -> u32 {
    let theatre = Theatre::new().unwrap();
    let options = Options { strategy: strategy.into(), profile, explain: false };
    let mut trades = 0;
    for seed in seeds {
        let day = theatre.play(seed, &options).unwrap();
        assert_eq!(day.violation, None, "{strategy} {} seed {seed}", profile.name());
        trades += day.trades;
    }
    trades
}

#[test]
fn hostile_days_of_index_pivot() {
    assert!(play("index-pivot", Profile::Hostile, 0..5) > 0);
}

#[test]
fn hostile_days_of_premium_pivot() {
    assert!(play("premium-pivot", Profile::Hostile, 0..4) > 0);
}

#[test]
fn hostile_days_of_level_breakout() {
    assert!(play("level-breakout", Profile::Hostile, 0..6) > 0);
}

#[test]
fn a_seed_is_a_day() {
    let options =
        Options { strategy: "level-breakout".into(), profile: Profile::Hostile, explain: true };
    let day = || Theatre::new().unwrap().play(7, &options).unwrap();
    assert_eq!(day(), day());
}
