use super::*;

#[test]
fn a_kernel_is_a_line_of_each_table() {
    let log = "fact: kernel=5.10.0-46-cloud-amd64\nfact: place=clsact\ntest a::b ... ok\n\
                   fact: verified_insns=ingress_eth 812, egress_eth 798\n\
                   fact: verified_insns at most=ingress_eth 1812, egress_eth 1798\nguest verdict: exit=0\n";
    let row = |series, log, objection| KernelRow {
        series,
        outcome: Outcome::read(log),
        objection,
        took: Duration::from_millis(61_900),
    };
    let rows = [row("5.10", log, None), row("6.1", "", Some("no verdict on the console".into()))];
    assert_eq!(
        table(&rows),
        "\
| series | kernel                | attaches by | tests | result                    | seconds |
|--------|-----------------------|-------------|-------|---------------------------|---------|
| 5.10   | 5.10.0-46-cloud-amd64 | clsact      | 1     | passed                    | 61      |
| 6.1    | -                     | -           | 0     | no verdict on the console | 61      |

| verified_insns | egress_eth  | ingress_eth |
|----------------|-------------|-------------|
| 5.10           | 798 to 1798 | 812 to 1812 |
"
    );
}
