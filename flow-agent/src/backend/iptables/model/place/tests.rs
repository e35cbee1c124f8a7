use super::*;

#[test]
fn what_two_pieces_made_is_what_either_made() {
    let nothing = Made::default();
    let table = Made { table: true, ..nothing };
    let input = Made { input: true, ..nothing };
    let output = Made { output: true, ..nothing };
    for made in [nothing, table, input, output] {
        assert_eq!((nothing.or(made), made.or(nothing), made.or(made)), (made, made, made));
    }
    assert_eq!(table.or(input).or(output), Made { table: true, input: true, output: true });
}
