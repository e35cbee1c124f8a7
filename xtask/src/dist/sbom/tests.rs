use super::*;

#[test]
fn a_component_is_a_crate_that_is_linked_and_comes_from_elsewhere() {
    let linked = names("flow-agent v0.1.0 (/src/flow-agent)\nserde v1.0.229\nserde v1.0.229 (*)\n\n");
    assert_eq!(linked.len(), 2);
    let metadata = json!({ "packages": [
            { "name": "flow-agent", "version": "0.1.0", "source": null, "license": "MIT" },
            { "name": "serde", "version": "1.0.229", "source": "registry+x", "license": "MIT/Apache-2.0" },
            { "name": "serde", "version": "0.9.0", "source": "registry+x", "license": "MIT" },
        ] });
    let components = components(&linked, &metadata).unwrap();
    assert_eq!(
        components,
        [json!({
            "type": "library", "name": "serde", "version": "1.0.229", "purl": "pkg:cargo/serde@1.0.229",
            "licenses": [{ "expression": "MIT OR Apache-2.0" }],
        })]
    );
    assert!(super::components(&names("other v1.0.0"), &metadata).is_err());
}

#[test]
fn every_crate_of_a_release_is_described() {
    let directory = tempfile::tempdir().unwrap();
    let target = super::super::target().replace("musl", "gnu");
    let file = write(directory.path(), "flow-agent", &target).unwrap();
    let document: Value = serde_json::from_slice(&fs::read(directory.path().join(file)).unwrap()).unwrap();
    let names: Vec<&str> =
        document["components"].as_array().unwrap().iter().map(|part| part["name"].as_str().unwrap()).collect();
    // A crate that is always present, and one of the feature that releases have.
    assert!(names.contains(&"aya") && names.contains(&"rusqlite"), "{names:?}");
}
