//! `strftime_now` of templates: a time that the caller gives, in UTC, printed as C's `strftime` prints it. It must not
//! read a clock.

use minijinja::{Error, ErrorKind, Value};

const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// The template's function for one rendering.
pub(super) fn function(now_unix_s: Option<i64>) -> Value {
    Value::from_function(move |format: String| match now_unix_s {
        Some(now) => Ok(strftime(&format, now)),
        None => Err(Error::new(ErrorKind::InvalidOperation, "this template asks for the time, and none was given")),
    })
}

/// The fields that templates use; any other is printed as it stands.
fn strftime(format: &str, unix_s: i64) -> String {
    let (days, second) = (unix_s.div_euclid(86_400), unix_s.rem_euclid(86_400));
    let (year, month, day) = date_of(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    // 1970-01-01 was a Thursday.
    let weekday = DAYS[usize::try_from((days + 3).rem_euclid(7)).unwrap_or(0)];
    let month_name = MONTHS[usize::try_from(month - 1).unwrap_or(0)];
    let mut out = String::new();
    let mut letters = format.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            out.push(letter);
            continue;
        }
        out.push_str(&match letters.next() {
            Some('Y') => year.to_string(),
            Some('y') => format!("{:02}", year.rem_euclid(100)),
            Some('m') => format!("{month:02}"),
            Some('d') => format!("{day:02}"),
            Some('e') => format!("{day:2}"),
            Some('H') => format!("{hour:02}"),
            Some('I') => format!("{:02}", (hour + 11) % 12 + 1),
            Some('M') => format!("{minute:02}"),
            Some('S') => format!("{second:02}"),
            Some('p') => if hour < 12 { "AM" } else { "PM" }.to_owned(),
            Some('A') => weekday.to_owned(),
            Some('a') => weekday[..3].to_owned(),
            Some('B') => month_name.to_owned(),
            Some('b') => month_name[..3].to_owned(),
            Some('F') => format!("{year}-{month:02}-{day:02}"),
            Some('T') => format!("{hour:02}:{minute:02}:{second:02}"),
            Some('Z') => "UTC".to_owned(),
            Some('%') | None => "%".to_owned(),
            Some(other) => format!("%{other}"),
        });
    }
    out
}

/// Year, month and day of a number of days since 1970-01-01 in the Gregorian calendar.
///
/// Days are counted from 0000-03-01, so that a leap day ends its year: 146,097 days are 400 years, and the months from
/// March on have 153 days in five.
fn date_of(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_as_pythons() {
        // Expected: datetime.fromtimestamp(t, timezone.utc).strftime(format) of CPython 3.12.
        let check = |unix_s, format: &str, expected: &str| assert_eq!(strftime(format, unix_s), expected);
        check(0, "%Y-%m-%d %H:%M:%S %a", "1970-01-01 00:00:00 Thu");
        check(951_782_399, "%d %b %Y %I %p", "28 Feb 2000 11 PM");
        check(951_782_400, "%F %T %A", "2000-02-29 00:00:00 Tuesday");
        check(1_795_596_910, "%d %B %y, 100%%", "25 November 26, 100%");
        check(-1, "%F %T", "1969-12-31 23:59:59");
        check(4_107_542_400, "%F", "2100-03-01");
    }
}
