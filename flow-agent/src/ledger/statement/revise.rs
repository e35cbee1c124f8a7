//! Compares a report with the former report of the same month. A change becomes a revision and is never silent.

use std::collections::{HashMap, HashSet};

use super::{Finality, MonthlyReport, PriorRevision, Statement};
use crate::ledger::counters::Counters;

impl MonthlyReport {
    /// Turns this report into the successor of `former`.
    ///
    /// Figures that were published, in a report after the end of the month or in a letter, get a new revision when they
    /// change. If nothing has changed the result is `former` itself, so that reporting a month again gives the same
    /// bytes.
    #[must_use]
    pub fn revise(mut self, former: Option<Self>) -> Self {
        let Some(mut former) = former else { return self };
        former.complete_from(&self);
        let now = self.made_at;
        let ends = former.state == Finality::InProgress && self.state != Finality::InProgress;
        let old_statements: HashMap<_, &Statement> = former.statements.iter().map(|old| (old.key(), old)).collect();
        for statement in &mut self.statements {
            if let Some(old) = old_statements.get(&statement.key()) {
                statement.follow(old, &former, ends || statement.differs(old));
            }
        }
        // An owner who had figures and now has none must not disappear without a revision.
        let owners: HashSet<_> = self.statements.iter().map(Statement::key).collect();
        let vanished: Vec<&Statement> =
            former.statements.iter().filter(|old| !old.draft && !owners.contains(&old.key())).collect();
        for old in vanished {
            let mut statement = old.emptied();
            statement.draft = self.draft;
            statement.follow(old, &former, statement.differs(old));
            statement.state = Some(self.state);
            self.statements.push(statement);
        }
        self.statements.sort_by(|one, other| one.key().cmp(&other.key()));
        self.first_made_at = former.first_made_at.or(self.first_made_at);
        self.final_at = former.final_at.or(self.final_at);
        self.keep_corrections(&former);
        (self.rev, self.made_at) = (former.rev, former.made_at);
        let is_draft = std::mem::replace(&mut self.draft, former.draft);
        let reasons = self.take_reasons(&former);
        if self == former {
            return former;
        }
        for (node, why) in self.nodes.iter_mut().zip(reasons) {
            node.why = why;
        }
        self.made_at = now;
        if !former.draft {
            self.rev += 1;
        }
        self.draft = is_draft;
        self
    }

    /// Marks the statements of these users as published, because letters with their figures are about to be sent.
    /// `None` stands for the summary, which contains the unassigned ports. Write the report before sending the letters.
    pub fn publish<'a>(&mut self, recipients: impl IntoIterator<Item = Option<&'a str>>) {
        let recipients: HashSet<Option<&str>> = recipients.into_iter().collect();
        self.draft &= !recipients.contains(&None);
        for statement in &mut self.statements {
            statement.draft &= !recipients.contains(&statement.user.as_deref());
        }
    }
}

impl MonthlyReport {
    /// Fills in the fields that a report of an older version lacks, so that they alone do not make a revision.
    fn complete_from(&mut self, new: &Self) {
        let state = self.state;
        let by_owner: HashMap<_, &Statement> = new.statements.iter().map(|new| (new.key(), new)).collect();
        for statement in self.statements.iter_mut().filter(|statement| statement.state.is_none()) {
            statement.state = Some(state);
            if let Some(new) = by_owner.get(&statement.key()) {
                statement.open_nodes.clone_from(&new.open_nodes);
            }
        }
        for node in self.nodes.iter_mut().filter(|node| node.completeness.is_none()) {
            if let Some(new) = new.nodes.iter().find(|new| new.name == node.name) {
                node.completeness = new.completeness;
                node.days_growing.clone_from(&new.days_growing);
            }
        }
    }

    /// Keeps the corrections of former reports, because they remain part of the month.
    fn keep_corrections(&mut self, former: &Self) {
        for node in &mut self.nodes {
            let before = former.nodes.iter().find(|old| old.name == node.name);
            let new = std::mem::take(&mut node.corrections);
            node.corrections = before.map(|old| old.corrections.clone()).unwrap_or_default();
            node.corrections.extend(new);
        }
    }

    /// Returns the reasons why nodes were not used, and replaces them by those of `former` where it has any, so that a
    /// node that is down for another reason than yesterday does not make a revision.
    fn take_reasons(&mut self, former: &Self) -> Vec<Option<String>> {
        let reasons = self.nodes.iter().map(|node| node.why.clone()).collect();
        for (node, old) in self.nodes.iter_mut().zip(&former.nodes) {
            if node.name == old.name && node.why.is_some() && old.why.is_some() {
                node.why.clone_from(&old.why);
            }
        }
        reasons
    }
}

impl Statement {
    /// Identifies the owner without a copy, in the order of [`super::owner::StatementOwner`]: users by name, then ports
    /// by number.
    fn key(&self) -> (bool, &str, u16) {
        match (&self.user, self.ports.first()) {
            (Some(name), _) => (false, name, 0),
            (None, port) => (true, "", port.copied().unwrap_or(0)),
        }
    }

    /// Whether the bill has changed.
    fn differs(&self, old: &Self) -> bool {
        (self.total, self.billed_bytes, &self.money) != (old.total, old.billed_bytes, &old.money)
    }

    /// Makes this the successor of `old` in the report `former`. `has_changed` says that the figures, or their meaning,
    /// are not those of `old`.
    fn follow(&mut self, old: &Self, former: &MonthlyReport, has_changed: bool) {
        self.rev = old.rev;
        self.history.clone_from(&old.history);
        if !has_changed {
            self.draft = old.draft;
        } else if !old.draft {
            self.rev += 1;
            self.history.push(PriorRevision {
                rev: old.rev,
                at: former.made_at,
                state: former.state_of(old),
                total: old.total,
                billed_bytes: old.billed_bytes,
                money: old.money.clone(),
            });
        }
    }

    fn emptied(&self) -> Self {
        Self {
            total: Counters::default(),
            by_node: Default::default(),
            days: vec![(0, 0); self.days.len()],
            billed_bytes: 0,
            money: self
                .money
                .clone()
                .map(|money| crate::ledger::billing::Money { amount: Default::default(), ..money }),
            ..self.clone()
        }
    }
}
