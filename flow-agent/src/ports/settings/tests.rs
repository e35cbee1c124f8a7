use serde::de::value::{Error, StrDeserializer};

use super::*;

#[test]
fn every_format_is_known_by_its_name() {
    for format in PortFileFormat::ALL {
        let name = StrDeserializer::<Error>::new(format.name());
        assert_eq!(PortFileFormat::deserialize(name), Ok(format));
    }
}
