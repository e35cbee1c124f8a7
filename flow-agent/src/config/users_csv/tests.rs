use super::*;

type Users = Vec<(String, Vec<u16>)>;

fn read(text: &str) -> Result<Users, String> {
    let users = from_csv(Path::new("users.csv"), text).map_err(|error| error.to_string())?;
    let user = |declared: Declared| (declared.user.name, declared.user.ports.into_iter().collect());
    Ok(users.into_iter().map(user).collect())
}

fn ada() -> Result<Users, String> {
    Ok(vec![("ada".to_owned(), vec![8388, 8389])])
}

#[test]
fn a_file_that_is_cut_within_its_last_line_is_refused() {
    let torn = "its last line has no line feed: it is being written or was truncated; end it with a line feed";
    assert_eq!(read("name,ports\nada,8388\nbob,183"), Err(format!("users.csv:3:1: {torn}")));
    assert_eq!(read("name,por"), Err(format!("users.csv:1:1: {torn}")));
}

#[test]
fn what_spreadsheets_leave_empty_is_passed_over() {
    let text = "name,ports,email,language,quota\nada,8388 8389,ada@example.com,zh,500 GiB\n,,,,\n,,,,\n";
    assert_eq!(read(text), ada());
    assert_eq!(read("name,ports,,\nada,8388 8389,,\n,,,\n"), ada());
    assert_eq!(read("name,ports\nada,8388 8389\n,\n,,,\n"), ada());
    let misplaced = "users.csv:2:1: \"x\" is in column 3, which has no name";
    assert_eq!(read("name,ports,\nada,8388,x\n"), Err(misplaced.to_owned()));
    let too_many = "users.csv:2:1: 4 fields, expected 3 as in the header";
    assert_eq!(read("name,ports,quota\nada,8388,9000,\n"), Err(too_many.to_owned()));
}

#[test]
fn semicolons_tabs_and_what_sep_says_separate_fields() {
    for text in [
        "name;ports;email\nada;8388 8389;ada@example.com\n",
        "# users\r\nname;ports\r\nada;\"8388;8389\"\r\n",
        "name\tports\nada\t8388 8389\n",
        "sep=;\nname;ports\nada;8388,8389\n",
        "\u{feff}sep=|\r\nname|ports\r\nada|8388;8389\r\n",
        "\"sep=,\"\nname,ports\nada,\"8388,8389\"\n",
    ] {
        assert_eq!(read(text), ada(), "{text:?}");
    }
    assert_eq!(read("name\nada\n"), Ok(vec![("ada".to_owned(), vec![])]));
    let place = "users.csv:3:1: port 70000 is out of range, expected 1 to 65535";
    assert_eq!(read("sep=;\nname;ports\nada;70000\n"), Err(place.to_owned()));
}
