//! The second pass: everything again, holding what falls into a suspect bucket. If that is more than may be held, the
//! last buckets are left for another round.

use std::collections::BTreeMap;

use domain::Timestamp;
use domain::promises::{Finding, Subject, Subjects, Suspects, Until};

use super::again::Reader;
use super::pages::Pages;
use super::{Findings, Plan, Progress, supplies};
use crate::store::Failure;
use crate::table::Table;

pub(super) async fn pass(
    table: &Table,
    plan: &Plan,
    suspects: &Suspects,
    settled: Timestamp,
    findings: &mut Findings,
    progress: &mut impl FnMut(Progress),
) -> Result<(), Failure> {
    let mut from = Some(0);
    let mut number = 0;
    while let Some(first) = from {
        if findings.are_enough() {
            findings.is_cut = true;
            return Ok(());
        }
        number += 1;
        let round = Round { table, plan, suspects, from: first, until: plan.until() };
        let (held, next) = round.read(|items| progress(Progress::Second { round: number, items })).await?;
        from = next;
        for subjects in held.into_values() {
            let settled = round.until.0.unwrap_or(settled);
            let supplies = supplies(table, subjects.awaited()).await?;
            let found = subjects.judge(|resource| supplies.get(resource).copied(), settled);
            if !plan.is_live() {
                findings.take(found.into_values().flatten());
                continue;
            }
            let mut left = found.len();
            for (subject, found) in found {
                progress(Progress::Again { left });
                left -= 1;
                if findings.are_enough() {
                    findings.is_cut = true;
                    return Ok(());
                }
                findings.take(read_again(table, plan, &subjects, &subject, &found).await?);
            }
        }
    }
    Ok(())
}

/// What is found both times.
async fn read_again(
    table: &Table,
    plan: &Plan,
    subjects: &Subjects,
    subject: &Subject,
    found: &[Finding],
) -> Result<Vec<Finding>, Failure> {
    let again = Reader { table, plan }.subject(subject, subjects.keys(subject)).await?;
    let was_found = |finding: &Finding| found.iter().any(|earlier| earlier.promise == finding.promise);
    Ok(again.into_iter().filter(was_found).collect())
}

struct Round<'a> {
    table: &'a Table,
    plan: &'a Plan,
    suspects: &'a Suspects,
    /// The first bucket that is not yet judged.
    from: usize,
    until: Until,
}

impl Round<'_> {
    /// What falls into as many suspect buckets as may be held, and the bucket to go on from.
    async fn read(&self, mut progress: impl FnMut(u64)) -> Result<(BTreeMap<usize, Subjects>, Option<usize>), Failure> {
        let mut buckets: BTreeMap<usize, Subjects> = BTreeMap::new();
        let mut end = None;
        let (mut held, mut items) = (0, 0);
        let mut pages = Pages::new(self.table, self.plan);
        while let Some((_, page)) = pages.next().await? {
            items += page.items.len() as u64;
            for stored in page.items.into_iter().flatten() {
                let (item, version) = (stored.found.item, stored.found.version);
                let bucket = Subject::of(&item).and_then(|subject| self.suspects.bucket_of(&subject));
                let Some(bucket) = bucket.filter(|bucket| *bucket >= self.from && end.is_none_or(|end| *bucket < end))
                else {
                    continue;
                };
                let subjects = buckets.entry(bucket).or_insert_with(|| Subjects::new(self.until));
                let before = subjects.held();
                subjects.see(item, version);
                held += subjects.held() - before;
                while held > self.plan.held && buckets.len() > 1 {
                    let Some((last, left)) = buckets.pop_last() else { break };
                    held -= left.held();
                    end = Some(last);
                }
            }
            progress(items);
        }
        Ok((buckets, end))
    }
}
