use serde_json::Value;

use super::*;

#[test]
fn commands_are_written_as_nft_reads_them() {
    let mut transaction = NftTransaction::on("flow-k3v7qa");
    assert!(transaction.is_empty());
    transaction.add_set("s", NftSet::Still, 64).add_elements("s", [443.into()]).delete_elements("s", []);
    transaction.rewrite("c", [json!([{ "return": null }])]);
    assert!(!transaction.is_empty());
    let commands: Value = serde_json::from_str(&transaction.render()).unwrap();
    let place = |object: Value| {
        let mut object = object;
        object["family"] = "inet".into();
        object["table"] = "flow-k3v7qa".into();
        object
    };
    assert_eq!(
        commands["nftables"],
        json!([
            { "add": { "set": place(json!({ "name": "s", "type": "inet_service", "size": 64 })) } },
            { "add": { "element": place(json!({ "name": "s", "elem": [443] })) } },
            { "flush": { "chain": place(json!({ "name": "c" })) } },
            { "add": { "rule": place(json!({ "chain": "c", "expr": [{ "return": null }] })) } },
        ])
    );
}
