use super::*;

fn target(flavour: Flavour, cluster: Option<&str>) -> SchemaTarget {
    SchemaTarget { flavour, database: "flow_agent".to_owned(), cluster: cluster.map(str::to_owned) }
}

#[test]
fn every_place_is_filled_in_and_every_statement_can_be_run_again() {
    for (flavour, cluster) in [(Flavour::Full, None), (Flavour::Full, Some("main")), (Flavour::Reduced, None)] {
        let target = target(flavour, cluster);
        assert!(!text(&target).contains('{'), "{target:?}");
        for statement in statements(&target).iter().chain(&role_statements(&target)) {
            let repeatable = statement.contains("IF NOT EXISTS")
                || statement.starts_with("CREATE OR REPLACE VIEW")
                || statement.starts_with("GRANT")
                || statement.starts_with("INSERT INTO flow_agent.schema_version");
            assert!(repeatable, "{statement}");
            assert!(!statement.contains("--"), "{statement}");
        }
    }
}

#[test]
fn a_cluster_has_replicated_tables() {
    let statements = statements(&target(Flavour::Full, Some("main")));
    let tables = statements.iter().filter(|statement| statement.starts_with("CREATE TABLE"));
    for table in tables {
        assert!(table.contains("ON CLUSTER `main`") && table.contains("ENGINE = Replicated"), "{table}");
    }
}

#[test]
fn the_version_of_the_server_decides() {
    assert_eq!(Flavour::of("18.16.1"), Some(Flavour::Reduced));
    assert_eq!(Flavour::of("26.9.2.1"), Some(Flavour::Full));
    assert_eq!(Flavour::of("<html>"), None);
}
