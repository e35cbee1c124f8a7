use super::*;

#[test]
fn an_included_stream_block_is_named_and_included_modules_are_not() {
    let text =
        b"include /etc/nginx/modules-enabled/*.conf;\nhttp { include mime.types; }\ninclude /etc/nginx/stream.conf;\n\
                 stream { include conf.d/*.tcp; server { listen 3306; } }\n";
    let listed = NginxStream.parse(text).unwrap();
    assert_eq!(listed.owners.keys().copied().collect::<Vec<_>>(), [3306]);
    let named: Vec<_> = listed.complaints.iter().map(ToString::to_string).collect();
    assert_eq!(named.len(), 2, "{named:?}");
    assert!(named[0].contains("line 3") && named[1].contains("conf.d/*.tcp"), "{named:?}");
}
