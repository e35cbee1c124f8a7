//! PURE: commands for `nft -j -f -`, which executes all of them as one transaction or none (libnftables-json(5)).

use serde_json::{Value, json};

use super::place::{NftSet, base_chain};
use crate::backend::iptables::model::flow::Direction;

/// Comes right before the mangle table, so that packets are counted before a firewall's verdicts.
pub const PRIORITY: i64 = -151;

/// The commands of one transaction on one table.
#[derive(Clone, Debug)]
pub struct NftTransaction {
    table: String,
    commands: Vec<Value>,
}

impl NftTransaction {
    pub fn on(table: &str) -> Self {
        Self { table: table.to_owned(), commands: Vec::new() }
    }

    pub fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// The text for the standard input of `nft`.
    pub fn render(&self) -> String {
        json!({ "nftables": self.commands }).to_string()
    }

    /// Makes the table and the chains that packets enter, where they do not exist.
    pub fn make_table(&mut self) -> &mut Self {
        self.make_bare_table();
        for direction in Direction::BOTH {
            let hook = base_chain(direction);
            self.add(
                "chain",
                json!({ "name": hook, "type": "filter", "hook": hook, "prio": PRIORITY, "policy": "accept" }),
            );
        }
        self
    }

    /// Makes the table, where it does not exist.
    pub fn make_bare_table(&mut self) -> &mut Self {
        self.commands.push(json!({ "add": { "table": { "family": "inet", "name": self.table } } }));
        self
    }

    /// Removes the table and everything in it.
    pub fn delete_table(&mut self) -> &mut Self {
        let table = json!({ "family": "inet", "name": self.table });
        self.commands.push(json!({ "delete": { "table": table } }));
        self
    }

    pub fn add_chain(&mut self, chain: &str) -> &mut Self {
        self.add("chain", json!({ "name": chain }))
    }

    /// Replaces all rules of a chain.
    pub fn rewrite(&mut self, chain: &str, rules: impl IntoIterator<Item = Value>) -> &mut Self {
        self.command("flush", "chain", json!({ "name": chain })).add_rules(chain, rules)
    }

    pub fn add_rules(&mut self, chain: &str, rules: impl IntoIterator<Item = Value>) -> &mut Self {
        for rule in rules {
            self.add("rule", json!({ "chain": chain, "expr": rule }));
        }
        self
    }

    /// Makes a set with room for `size` elements. Its name is `name`, and its role decides everything else.
    pub fn add_set(&mut self, name: &str, set: NftSet, size: u32) -> &mut Self {
        let kind = if set.is_of_ports() { "inet_service" } else { "nf_proto" };
        let mut set_json = json!({ "name": name, "type": kind });
        if set.is_of_ports() {
            set_json["size"] = size.into();
        }
        if set.has_counters() {
            set_json["stmt"] = json!([{ "counter": null }]);
        }
        self.add("set", set_json)
    }

    pub fn add_elements(&mut self, set: &str, elements: impl IntoIterator<Item = Value>) -> &mut Self {
        self.elements("add", set, elements)
    }

    pub fn delete_elements(&mut self, set: &str, elements: impl IntoIterator<Item = Value>) -> &mut Self {
        self.elements("delete", set, elements)
    }

    /// Removes chains with their rules, and sets. Nothing else may refer to them.
    pub fn delete(&mut self, chains: &[String], sets: &[String]) -> &mut Self {
        for (command, kind, names) in [("flush", "chain", chains), ("delete", "chain", chains), ("delete", "set", sets)]
        {
            for name in names {
                self.command(command, kind, json!({ "name": name }));
            }
        }
        self
    }

    fn elements(&mut self, command: &str, set: &str, elements: impl IntoIterator<Item = Value>) -> &mut Self {
        let elements: Vec<Value> = elements.into_iter().collect();
        // An empty list is an error.
        if elements.is_empty() {
            return self;
        }
        self.command(command, "element", json!({ "name": set, "elem": elements }))
    }

    fn add(&mut self, kind: &str, object: Value) -> &mut Self {
        self.command("add", kind, object)
    }

    fn command(&mut self, command: &str, kind: &str, mut object: Value) -> &mut Self {
        object["family"] = "inet".into();
        object["table"] = self.table.as_str().into();
        self.commands.push(json!({ command: { kind: object } }));
        self
    }
}

#[cfg(test)]
mod tests;
