//! A gateway's report of each movement of money, as it comes in a file: CSV in the columns that `docs/GATEWAY.md` names,
//! each field read or refused with the number of its line.

use std::io::Read;

use csv::{ErrorKind, Reader, ReaderBuilder, StringRecord, Terminator};
use domain::payments::{Moved, ReportLine};
use domain::{Amount, Currency, Timestamp};

pub const COLUMNS: [&str; 8] = ["kind", "id", "charge", "key", "reference", "amount", "currency", "at"];

/// Lines that are named before it is enough.
const MOST_MALFORMED: usize = 20;

/// Why nothing is made of a report.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("line 1 must be {expected}", expected = COLUMNS.join(","))]
    NoReport,
    #[error("{}", said(lines, *more))]
    Malformed { lines: Vec<Malformed>, more: bool },
}

/// A line that is none of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    pub line: u64,
    pub why: String,
}

fn said(lines: &[Malformed], more: bool) -> String {
    let mut said: Vec<String> = lines.iter().map(|Malformed { line, why }| format!("line {line}: {why}")).collect();
    if more {
        said.push("and more".to_owned());
    }
    said.join("\n")
}

/// Hands over each line, in their order. If any of them is malformed nothing is to be made of the others.
pub fn read(from: impl Read, mut see: impl FnMut(ReportLine)) -> Result<(), Unreadable> {
    // Where a line feed alone ends a line, lines are counted as an editor counts them, whether or not there is a carriage
    // return before it.
    let mut builder = ReaderBuilder::new();
    builder.has_headers(false).flexible(true).terminator(Terminator::Any(b'\n'));
    let mut reader = builder.from_reader(from);
    let mut record = StringRecord::new();
    if !next(&mut reader, &mut record)?.is_ok_and(|there| there && fields(&record) == COLUMNS) {
        return Err(Unreadable::NoReport);
    }
    let mut lines = Vec::new();
    loop {
        let malformed = match next(&mut reader, &mut record)? {
            Ok(false) => break,
            Ok(true) => {
                let line = record.position().map_or(0, csv::Position::line);
                match line_of(&record, line) {
                    Ok(read) => {
                        see(read);
                        continue;
                    }
                    Err(why) => Malformed { line, why },
                }
            }
            Err(malformed) => malformed,
        };
        if lines.len() == MOST_MALFORMED {
            return Err(Unreadable::Malformed { lines, more: true });
        }
        lines.push(malformed);
    }
    if lines.is_empty() { Ok(()) } else { Err(Unreadable::Malformed { lines, more: false }) }
}

/// Whether there is a record; or a line that is no text.
fn next<R: Read>(reader: &mut Reader<R>, record: &mut StringRecord) -> Result<Result<bool, Malformed>, Unreadable> {
    let error = match reader.read_record(record) {
        Ok(there) => return Ok(Ok(there)),
        Err(error) => error,
    };
    let line = error.position().map_or(0, csv::Position::line);
    match error.into_kind() {
        ErrorKind::Io(error) => Err(Unreadable::Io(error)),
        ErrorKind::Utf8 { .. } => Ok(Err(Malformed { line, why: "it is not UTF-8".to_owned() })),
        other => Ok(Err(Malformed { line, why: format!("it is no CSV: {other:?}") })),
    }
}

fn fields(record: &StringRecord) -> Vec<&str> {
    let mut fields: Vec<&str> = record.iter().collect();
    if let Some(last) = fields.last_mut() {
        *last = last.strip_suffix('\r').unwrap_or(last);
    }
    fields
}

fn line_of(record: &StringRecord, line: u64) -> Result<ReportLine, String> {
    let fields = fields(record);
    let [kind, id, charge, key, reference, amount, currency, at] = fields[..] else {
        return Err(format!("it has {} fields; there are {}", fields.len(), COLUMNS.len()));
    };
    let named = |name: &str, text: &str| match text {
        "" => Err(format!("{name} is missing")),
        text => Ok(text.to_owned()),
    };
    let if_any = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    Ok(ReportLine {
        line,
        moved: Moved::parse(kind).ok_or("kind is charge or refund")?,
        id: named("id", id)?,
        charge: named("charge", charge)?,
        key: if_any(key),
        reference: if_any(reference),
        amount: minor(amount).ok_or("amount is a whole number of the minor unit, more than zero")?,
        currency: Currency::from_code(currency).ok_or("currency is three capital letters of ISO 4217")?,
        at: Timestamp::parse(at).map_err(|_| "at is a moment as RFC 3339 has it, to the millisecond")?,
    })
}

/// Only as it would be written.
fn minor(text: &str) -> Option<Amount> {
    let is_written_so = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    let minor = text.parse().ok().filter(|_| is_written_so)?;
    Amount::from_minor(minor)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "kind,id,charge,key,reference,amount,currency,at\n";
    const LINE: &str = "charge,ch_1,ch_1,charge-k,order 7,150099,EUR,2026-11-21T05:53:03Z\n";

    fn lines(report: &[u8]) -> Result<Vec<ReportLine>, Unreadable> {
        let mut lines = Vec::new();
        read(report, |line| lines.push(line)).map(|()| lines)
    }

    #[test]
    fn a_report_is_read_as_it_is_documented() {
        let second = "refund,re_1,ch_1,,\"a, \"\"b\"\"\nc\",1,JPY,2026-11-21T06:53:03.5+01:00\r\n";
        let read = lines(format!("{HEAD}{LINE}{second}{LINE}").as_bytes()).unwrap();
        let [first, second, third] = &read[..] else { panic!("{read:?}") };
        assert_eq!((first.line, first.moved, first.amount.minor()), (2, Moved::Charge, 150_099));
        assert_eq!((first.key.as_deref(), first.reference.as_deref()), (Some("charge-k"), Some("order 7")));
        assert_eq!((second.line, second.key.as_deref()), (3, None));
        assert_eq!(second.reference.as_deref(), Some("a, \"b\"\nc"));
        assert_eq!(second.at.to_string(), "2026-11-21T05:53:03.500Z");
        assert_eq!(third.line, 5, "where it stands in the file");
        assert!(lines(HEAD.as_bytes()).unwrap().is_empty(), "nothing moved");
    }

    #[test]
    fn what_is_no_report_is_refused() {
        for report in ["", "\n", LINE, "kind,id\n", &HEAD.replace("key,", ""), &HEAD.replace("at", "at,more"), "\u{1}"]
        {
            let refused = lines(report.as_bytes()).unwrap_err();
            assert!(matches!(refused, Unreadable::NoReport), "{report:?}: {refused}");
            assert!(refused.to_string().contains("kind,id,charge"), "{refused}");
        }
    }

    #[test]
    fn what_is_wrong_is_refused_with_its_line() {
        for (from, to, says) in [
            ("charge,", "Charge,", "kind"),
            ("charge,ch_1,ch_1", "charge,,ch_1", "id is missing"),
            ("charge,ch_1,ch_1", "charge,ch_1,", "charge is missing"),
            ("150099", "1500.99", "amount"),
            ("150099", "0", "amount"),
            ("150099", "0150099", "amount"),
            ("150099", "-1", "amount"),
            ("150099", "+1", "amount"),
            ("150099", "9223372036854775808", "amount"),
            ("150099", "", "amount"),
            ("EUR", "eur", "currency"),
            ("EUR", "XXL", "currency"),
            ("2026-11-21T05:53:03Z", "2026-11-21", "at is"),
            (",EUR", "", "it has 7 fields; there are 8"),
            (",EUR", ",EUR,EUR", "it has 9 fields"),
        ] {
            let wrong = LINE.replacen(from, to, 1);
            let refused = lines(format!("{HEAD}{LINE}{wrong}{LINE}{wrong}").as_bytes()).unwrap_err();
            let Unreadable::Malformed { lines, more: false } = &refused else { panic!("{refused}") };
            assert_eq!(lines.iter().map(|malformed| malformed.line).collect::<Vec<_>>(), [3, 5], "{wrong}");
            assert!(lines[0].why.contains(says), "{refused}");
            assert!(refused.to_string().starts_with("line 3: "), "{refused}");
        }
        let bytes = [HEAD.as_bytes(), b"charge,ch_\xff\n", LINE.as_bytes()].concat();
        assert_eq!(lines(&bytes).unwrap_err().to_string(), "line 2: it is not UTF-8");
        let many = format!("{HEAD}{}", "x\n".repeat(50));
        assert!(
            lines(many.as_bytes())
                .unwrap_err()
                .to_string()
                .ends_with("line 21: it has 1 fields; there are 8\nand more")
        );
    }
}
