use super::*;

#[test]
fn it_is_an_object_sorted_by_name_in_which_the_last_word_holds() {
    let bytes = |tcp_in_bytes| Counters { tcp_in_bytes, ..Counters::default() };
    let nodes = [("us-1", 3), ("fr-1", 1), ("hk-1", 2), ("fr-1", 4)];
    let by_node: ByNode = nodes.into_iter().map(|(node, count)| (node.to_owned(), bytes(count))).collect();
    assert_eq!(by_node.names().collect::<Vec<_>>(), ["fr-1", "hk-1", "us-1"]);
    assert_eq!((by_node.get("fr-1"), by_node.get("fr-2")), (Some(bytes(4)), None));
    let json = serde_json::to_string(&by_node).unwrap();
    assert!(json.starts_with(r#"{"fr-1":{"tcp_in_bytes":4,"#), "{json}");
    assert_eq!(serde_json::from_str::<ByNode>(&json).unwrap(), by_node);
    assert!(!by_node.is_empty() && ByNode::default().is_empty());
    let all = [("fr-1", 4), ("hk-1", 2), ("us-1", 3)].map(|(node, count)| (node.to_owned(), bytes(count)));
    assert_eq!(by_node.into_iter().collect::<Vec<_>>(), all);
}

#[test]
fn what_is_no_object_is_told_what_it_should_be() {
    let error = serde_json::from_str::<ByNode>("5").unwrap_err().to_string();
    assert!(error.contains("an object with the counters of each node"), "{error}");
}
