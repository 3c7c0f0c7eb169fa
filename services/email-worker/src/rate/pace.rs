//! A rate of mails, as people write it and as moments are spaced by it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Mails in a time: between one an hour and [`Rate::MOST`] a second.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Rate(f64);

/// What `MAIL_RATE` says: a ceiling over the whole fleet, or none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Ceiling {
    /// As fast as the workers can.
    Unlimited,
    /// At most so fast.
    At(Rate),
}

/// `MAIL_RATE` can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RateError {
    /// Not `N`, `N/s`, `N/m` or `N/h`.
    #[error("not a rate: write a whole number of mails and a time, as in 14, 14/s, 600/m or 2000/h; 0 is no limit")]
    Form,
    /// More than anybody can send.
    #[error("more than {most} mails a second; 0 is no limit", most = Rate::MOST)]
    TooFast,
}

impl Rate {
    /// Mails a second at most.
    pub const MOST: u32 = 100_000;
    const LEAST: f64 = 1.0 / 3_600.0;

    /// So many mails a second, kept between the least and the most.
    pub fn per_second(mails: f64) -> Self {
        Self(if mails.is_nan() { Self::LEAST } else { mails.clamp(Self::LEAST, f64::from(Self::MOST)) })
    }

    /// Mails a second.
    pub fn mails_per_second(self) -> f64 {
        self.0
    }

    /// From one mail to the next.
    pub fn spacing(self) -> Duration {
        Duration::from_secs_f64(1.0 / self.0)
    }
}

impl Ceiling {
    /// The rate, if there is a limit.
    pub fn rate(self) -> Option<Rate> {
        match self {
            Self::Unlimited => None,
            Self::At(rate) => Some(rate),
        }
    }

    /// As it is read again, exactly: in the largest unit in which it is a whole number of mails.
    pub fn written(self) -> String {
        let Self::At(Rate(per_second)) = self else { return "0".to_owned() };
        for (seconds, unit) in [(1.0, "s"), (60.0, "m")] {
            let mails = per_second * seconds;
            if (mails - mails.round()).abs() < 1e-9 * mails.max(1.0) {
                return format!("{}/{unit}", mails.round());
            }
        }
        format!("{}/h", (per_second * 3_600.0).round())
    }
}

impl FromStr for Ceiling {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let (mails, seconds) = match text.trim().split_once('/') {
            None => (text.trim(), 1.0),
            Some((mails, "s")) => (mails, 1.0),
            Some((mails, "m")) => (mails, 60.0),
            Some((mails, "h")) => (mails, 3_600.0),
            Some(_) => return Err(RateError::Form),
        };
        let digits = !mails.is_empty() && mails.bytes().all(|byte| byte.is_ascii_digit());
        if !digits {
            return Err(RateError::Form);
        }
        let mails: u64 = mails.parse().map_err(|_| RateError::TooFast)?;
        if mails == 0 {
            return Ok(Self::Unlimited);
        }
        let rate = mails as f64 / seconds;
        if rate > f64::from(Rate::MOST) { Err(RateError::TooFast) } else { Ok(Self::At(Rate(rate))) }
    }
}

/// In the unit that shows it best.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mails, unit) = match self.0 {
            rate if rate >= 1.0 => (rate, "s"),
            rate if rate * 60.0 >= 1.0 => (rate * 60.0, "m"),
            rate => (rate * 3_600.0, "h"),
        };
        let rounded = (mails * 10.0).round() / 10.0;
        write!(f, "{rounded}/{unit}")
    }
}

impl fmt::Display for Ceiling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unlimited => f.write_str("0"),
            Self::At(rate) => rate.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_as_people_write_them() {
        for (text, per_second) in [
            ("14", 14.0),
            ("14/s", 14.0),
            (" 14/s\n", 14.0),
            ("600/m", 10.0),
            ("2000/h", 2_000.0 / 3_600.0),
            ("1/h", 1.0 / 3_600.0),
            ("100000", 100_000.0),
            ("360000000/h", 100_000.0),
        ] {
            assert_eq!(text.parse(), Ok(Ceiling::At(Rate(per_second))), "{text:?}");
        }
        assert_eq!("0".parse(), Ok(Ceiling::Unlimited));
        assert_eq!("0/h".parse(), Ok(Ceiling::Unlimited));
    }

    #[test]
    fn a_rate_that_is_written_is_read_as_the_same() {
        for (text, written) in [
            ("0", "0"),
            ("14", "14/s"),
            ("600/m", "10/s"),
            ("100/m", "100/m"),
            ("2000/h", "2000/h"),
            ("1/h", "1/h"),
            ("359999999/h", "359999999/h"),
            ("100000", "100000/s"),
        ] {
            let ceiling: Ceiling = text.parse().unwrap();
            assert_eq!((ceiling.written().as_str(), written.parse()), (written, Ok(ceiling)), "{text}");
        }
    }

    #[test]
    fn what_is_no_rate_is_refused_with_what_would_be_one() {
        for text in ["", "/s", "fast", "-1", "1.5", "1e3", "14/d", "14/", "14/sec", "14 /s", "14/s/s", "+3", "0x10"] {
            let error = text.parse::<Ceiling>().unwrap_err();
            assert!(matches!(error, RateError::Form) && error.to_string().contains("600/m"), "{text:?}: {error}");
        }
        for text in ["100001", "6000001/m", "99999999999999999999999"] {
            assert!(matches!(text.parse::<Ceiling>(), Err(RateError::TooFast)), "{text:?}");
        }
    }

    #[test]
    fn from_one_mail_to_the_next_it_is_an_hour_at_most() {
        for (per_second, spacing) in [
            (4.0, Duration::from_millis(250)),
            (0.5, Duration::from_secs(2)),
            (0.0, Duration::from_secs(3_600)),
            (f64::NAN, Duration::from_secs(3_600)),
            (f64::INFINITY, Duration::from_micros(10)),
        ] {
            assert_eq!(Rate::per_second(per_second).spacing(), spacing, "{per_second}");
        }
    }

    #[test]
    fn a_rate_is_shown_in_the_unit_that_suits_it() {
        for (text, shown) in [("14", "14/s"), ("600/m", "10/s"), ("30/m", "30/m"), ("50/h", "50/h"), ("100/m", "1.7/s")]
        {
            assert_eq!(text.parse::<Ceiling>().unwrap().to_string(), shown, "{text:?}");
        }
    }
}
