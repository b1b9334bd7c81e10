//! Cron expressions as EventBridge has them: six fields, in UTC.
//!
//! Read once, when a template is; what is not understood is an error that says which field. Not here: other time zones.

use std::fmt;

use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time, Weekday};

const MINUTE_MS: i64 = 60_000;
const MONTHS: [&str; 12] = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const DAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
const LAST_YEAR: u16 = 2199;

/// `cron(minutes hours day-of-month month day-of-week year)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cron {
    written: String,
    minutes: Vec<u16>,
    hours: Vec<u16>,
    days: Days,
    months: Vec<u16>,
    years: Vec<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Days {
    OfMonth(Vec<OfMonth>),
    OfWeek(Vec<OfWeek>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum OfMonth {
    OneOf(Vec<u16>),
    Last,
    /// The weekday closest to this day.
    WeekdayBy(u16),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum OfWeek {
    /// 1 is Sunday.
    OneOf(Vec<u16>),
    LastOfMonth(u16),
    NthOfMonth(u16, u16),
}

/// What the numbers of a field may be.
struct Range {
    name: &'static str,
    least: u16,
    most: u16,
    words: &'static [&'static str],
    /// `20-2` goes on over the end.
    goes_round: bool,
}

const MINUTES: Range = Range { name: "minutes", least: 0, most: 59, words: &[], goes_round: true };
const HOURS: Range = Range { name: "hours", least: 0, most: 23, words: &[], goes_round: true };
const OF_MONTH: Range = Range { name: "day-of-month", least: 1, most: 31, words: &[], goes_round: false };
const MONTH: Range = Range { name: "month", least: 1, most: 12, words: &MONTHS, goes_round: true };
const OF_WEEK: Range = Range { name: "day-of-week", least: 1, most: 7, words: &DAYS, goes_round: true };
const YEARS: Range = Range { name: "year", least: 1970, most: LAST_YEAR, words: &[], goes_round: false };

impl Cron {
    /// Reads `cron(…)`.
    pub fn read(expression: &str) -> Result<Self, String> {
        let fields = expression.strip_prefix("cron(").and_then(|rest| rest.strip_suffix(')'));
        let fields: Vec<&str> = fields.ok_or("is not `cron(…)`")?.split_whitespace().collect();
        let [minutes, hours, of_month, month, of_week, years] = fields.as_slice() else {
            return Err("a cron expression has six fields: minutes hours day-of-month month day-of-week year".into());
        };
        let days = match (*of_month, *of_week) {
            ("?", "?") => return Err("day-of-month and day-of-week: `?` stands in one of the two".into()),
            (of_month, "?") => Days::OfMonth(of_month.split(',').map(day_of_month).collect::<Result<_, _>>()?),
            ("?", of_week) => Days::OfWeek(days_of_week(of_week)?),
            _ => return Err("day-of-month and day-of-week: `?` has to stand in one of the two".into()),
        };
        Ok(Self {
            written: expression.to_owned(),
            minutes: MINUTES.numbers(minutes)?,
            hours: HOURS.numbers(hours)?,
            days,
            months: MONTH.numbers(month)?,
            years: YEARS.numbers(years)?,
        })
    }

    /// The first time after this one, in milliseconds since the epoch; `None` if there is none.
    pub fn next_after(&self, ms: i64) -> Option<i64> {
        let from = OffsetDateTime::from_unix_timestamp((ms.div_euclid(MINUTE_MS) + 1) * 60).ok()?;
        let mut date = from.date();
        let mut earliest = (u16::from(from.hour()), u16::from(from.minute()));
        while date.year() <= i32::from(LAST_YEAR) {
            if self.has_day(date)
                && let Some((hour, minute)) = self.first_time_from(earliest)
            {
                let time = Time::from_hms(u8::try_from(hour).ok()?, u8::try_from(minute).ok()?, 0).ok()?;
                return Some(PrimitiveDateTime::new(date, time).assume_utc().unix_timestamp() * 1000);
            }
            date = date.next_day()?;
            earliest = (0, 0);
        }
        None
    }

    fn first_time_from(&self, earliest: (u16, u16)) -> Option<(u16, u16)> {
        let times = self.hours.iter().flat_map(|hour| self.minutes.iter().map(move |minute| (*hour, *minute)));
        times.filter(|time| *time >= earliest).min()
    }

    fn has_day(&self, date: Date) -> bool {
        let year = u16::try_from(date.year()).unwrap_or_default();
        if !self.years.contains(&year) || !self.months.contains(&u16::from(u8::from(date.month()))) {
            return false;
        }
        let day = u16::from(date.day());
        let last = u16::from(date.month().length(date.year()));
        let of_week = u16::from(date.weekday().number_days_from_sunday()) + 1;
        match &self.days {
            Days::OfMonth(days) => days.iter().any(|wanted| match wanted {
                OfMonth::OneOf(days) => days.contains(&day),
                OfMonth::Last => day == last,
                OfMonth::WeekdayBy(wanted) => weekday_by(date.year(), date.month(), *wanted) == Some(date),
            }),
            Days::OfWeek(days) => days.iter().any(|wanted| match wanted {
                OfWeek::OneOf(days) => days.contains(&of_week),
                OfWeek::LastOfMonth(wanted) => of_week == *wanted && day + 7 > last,
                OfWeek::NthOfMonth(wanted, nth) => of_week == *wanted && day.div_ceil(7) == *nth,
            }),
        }
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

/// The weekday closest to a day, within its month.
fn weekday_by(year: i32, month: Month, day: u16) -> Option<Date> {
    let date = Date::from_calendar_date(year, month, u8::try_from(day).ok()?).ok()?;
    let (first, last) = (date.day() == 1, date.day() == month.length(year));
    let days: i64 = match date.weekday() {
        Weekday::Saturday if first => 2,
        Weekday::Saturday => -1,
        Weekday::Sunday if last => -2,
        Weekday::Sunday => 1,
        _ => 0,
    };
    date.checked_add(time::Duration::days(days))
}

fn day_of_month(part: &str) -> Result<OfMonth, String> {
    if part == "L" {
        return Ok(OfMonth::Last);
    }
    match part.strip_suffix('W') {
        Some(day) => OF_MONTH.number(day).map(OfMonth::WeekdayBy),
        None => OF_MONTH.part(part).map(OfMonth::OneOf),
    }
}

fn days_of_week(field: &str) -> Result<Vec<OfWeek>, String> {
    if let Some((day, nth)) = field.split_once('#') {
        let nth: u16 = nth.parse().ok().filter(|nth| (1..=5).contains(nth)).ok_or_else(|| OF_WEEK.wrong(field))?;
        return Ok(vec![OfWeek::NthOfMonth(OF_WEEK.number(day)?, nth)]);
    }
    let part = |part: &str| match part.strip_suffix('L') {
        Some("") => Ok(OfWeek::OneOf(vec![OF_WEEK.most])),
        Some(day) => OF_WEEK.number(day).map(OfWeek::LastOfMonth),
        None => OF_WEEK.part(part).map(OfWeek::OneOf),
    };
    field.split(',').map(part).collect()
}

impl Range {
    fn numbers(&self, field: &str) -> Result<Vec<u16>, String> {
        let parts: Vec<Vec<u16>> = field.split(',').map(|part| self.part(part)).collect::<Result<_, _>>()?;
        Ok(parts.concat())
    }

    /// `*`, a number, `a-b`, and any of them with `/step`.
    fn part(&self, part: &str) -> Result<Vec<u16>, String> {
        let (span, step) = match part.split_once('/') {
            Some((span, step)) => {
                let step: u16 = step.parse().ok().filter(|step| *step > 0).ok_or_else(|| self.wrong(part))?;
                (span, Some(step))
            }
            None => (part, None),
        };
        let (first, last) = match span.split_once('-') {
            _ if span == "*" => (self.least, self.most),
            Some((first, last)) => (self.number(first)?, self.number(last)?),
            None if step.is_some() => (self.number(span)?, self.most),
            None => (self.number(span)?, self.number(span)?),
        };
        let all: Vec<u16> = match () {
            () if first <= last => (first..=last).collect(),
            () if self.goes_round => (first..=self.most).chain(self.least..=last).collect(),
            () => return Err(self.wrong(part)),
        };
        Ok(all.into_iter().step_by(usize::from(step.unwrap_or(1))).collect())
    }

    fn number(&self, text: &str) -> Result<u16, String> {
        let word = self.words.iter().position(|word| word.eq_ignore_ascii_case(text));
        let number = match word {
            Some(place) => u16::try_from(place).ok().map(|place| place + self.least),
            None => text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit())),
        };
        number.filter(|number| (self.least..=self.most).contains(number)).ok_or_else(|| self.wrong(text))
    }

    fn wrong(&self, what: &str) -> String {
        format!("{}: `{what}` is not understood; its values are {} to {}", self.name, self.least, self.most)
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    /// The next `count` times after this one.
    fn times(expression: &str, from: OffsetDateTime, count: usize) -> Vec<String> {
        let cron = Cron::read(expression).unwrap();
        let first = cron.next_after(from.unix_timestamp() * 1000);
        std::iter::successors(first, |ms| cron.next_after(*ms)).take(count).map(crate::dates::iso_seconds).collect()
    }

    const FROM: OffsetDateTime = datetime!(2026-11-20 09:30:00 UTC); // a Friday

    /// "Run at 10:00 am (UTC+0) every day", "Run at 6:00 pm (UTC+0) every Monday through Friday", "Run every 10 minutes
    /// Monday through Friday", "between 10:00 pm on the starting day to 2:00 am on the following day" (EventBridge User
    /// Guide, Creating a rule that runs on a schedule).
    #[test]
    fn the_examples_of_the_guide() {
        assert_eq!(times("cron(0 10 * * ? *)", FROM, 2), ["2026-11-20T10:00:00Z", "2026-11-21T10:00:00Z"]);
        assert_eq!(times("cron(15 12 * * ? *)", FROM, 1), ["2026-11-20T12:15:00Z"]);
        assert_eq!(times("cron(0 18 ? * MON-FRI *)", FROM, 2), ["2026-11-20T18:00:00Z", "2026-11-23T18:00:00Z"]);
        assert_eq!(times("cron(0 8 1 * ? *)", FROM, 2), ["2026-12-01T08:00:00Z", "2027-01-01T08:00:00Z"]);
        assert_eq!(times("cron(0/15 * * * ? *)", FROM, 2), ["2026-11-20T09:45:00Z", "2026-11-20T10:00:00Z"]);
        assert_eq!(times("cron(0/5 8-17 ? * MON-FRI *)", FROM, 1), ["2026-11-20T09:35:00Z"]);
        let at_night = times("cron(0/30 20-2 ? * MON-FRI *)", datetime!(2026-11-20 23:00:00 UTC), 2);
        assert_eq!(at_night, ["2026-11-20T23:30:00Z", "2026-11-23T00:00:00Z"]);
        assert_eq!(times("cron(5,35 14 * * ? *)", FROM, 2), ["2026-11-20T14:05:00Z", "2026-11-20T14:35:00Z"]);
        assert_eq!(times("cron(15 10 ? * 6L 2019-2022)", FROM, 1), Vec::<String>::new());
        assert_eq!(times("cron(15 10 ? * 6L 2026)", FROM, 9), ["2026-11-27T10:15:00Z", "2026-12-25T10:15:00Z"]);
    }

    /// "In the Minutes field, you could enter 1/10 to specify every tenth minute, starting from the first minute of the
    /// hour"; "The L wildcard … specifies the last day of the month or week"; "3W specifies the weekday closest to the
    /// third day of the month"; "3#2 would be the second Tuesday of the month" (the same page).
    #[test]
    fn every_wildcard_means_what_the_guide_says() {
        assert_eq!(times("cron(1/10 0 ? JAN,MAR 7 *)", FROM, 2), ["2027-01-02T00:01:00Z", "2027-01-02T00:11:00Z"]);
        assert_eq!(times("cron(0 0 L 2 ? 2027-2028)", FROM, 9), ["2027-02-28T00:00:00Z", "2028-02-29T00:00:00Z"]);
        assert_eq!(times("cron(0 0 ? * L *)", FROM, 1), ["2026-11-21T00:00:00Z"], "a Saturday");
        // The third of April 2027 is a Saturday, the first of May as well, and the last of January a Sunday.
        assert_eq!(times("cron(0 0 3W 4 ? *)", FROM, 1), ["2027-04-02T00:00:00Z"]);
        assert_eq!(times("cron(0 0 1W 5 ? 2027)", FROM, 9), ["2027-05-03T00:00:00Z"]);
        assert_eq!(times("cron(0 0 31W 1 ? 2027)", FROM, 9), ["2027-01-29T00:00:00Z"]);
        assert_eq!(times("cron(0 0 ? * 3#2 *)", FROM, 2), ["2026-12-08T00:00:00Z", "2027-01-12T00:00:00Z"]);
        assert_eq!(times("cron(0 0 30 2 ? *)", FROM, 1), Vec::<String>::new(), "there is no such day");
    }

    /// "If you specify a value or a * (asterisk) in one of the fields, you must use a ? (question mark) in the other";
    /// "you can define only one expression in the day-of-week field" with a `#` (the same page).
    #[test]
    fn what_is_not_understood_names_its_field() {
        for (expression, field) in [
            ("cron(0 10 * * * *)", "day-of-month and day-of-week"),
            ("cron(0 10 ? * ? *)", "day-of-month and day-of-week"),
            ("cron(60 10 * * ? *)", "minutes"),
            ("cron(0/0 10 * * ? *)", "minutes"),
            ("cron(0 24 * * ? *)", "hours"),
            ("cron(0 -1 * * ? *)", "hours"),
            ("cron(0 10 32 * ? *)", "day-of-month"),
            ("cron(0 10 9-3 * ? *)", "day-of-month"),
            ("cron(0 10 LW * ? *)", "day-of-month"),
            ("cron(0 10 * FOO ? *)", "month"),
            ("cron(0 10 ? * 3#1,6#3 *)", "day-of-week"),
            ("cron(0 10 ? * 3#6 *)", "day-of-week"),
            ("cron(0 10 ? * 0 *)", "day-of-week"),
            ("cron(0 10 * * ? 2200)", "year"),
            ("cron(0 10 * * ?)", "six fields"),
            ("rate(1 minute)", "cron("),
        ] {
            let refused = Cron::read(expression).unwrap_err();
            assert!(refused.contains(field), "{expression}: {refused}");
        }
    }
}
