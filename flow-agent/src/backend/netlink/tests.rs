use super::*;

#[test]
fn a_request_is_a_header_and_padded_attributes() {
    let mut request = Request::new(18, NLM_F_DUMP, &[7; 4]);
    request.attribute(3, b"ab\0");
    let bytes = request.encode();
    // 16 bytes of the netlink header, 4 of the body, 4 of the attribute's header, 3 of its value, and 1 of padding.
    assert_eq!(bytes.len(), 28);
    assert_eq!((read_u32(&bytes, 0), read_u16(&bytes, 4), read_u16(&bytes, 6)), (Some(28), Some(18), Some(0x301)));
    assert_eq!(&bytes[20..], [7, 0, 3, 0, b'a', b'b', 0, 0]);
    assert_eq!(attributes(&bytes[16..], 4).collect::<Vec<_>>(), [(3, b"ab\0".as_slice())]);
}

#[test]
fn an_error_is_an_errno_and_an_acknowledgement_is_an_end() {
    let mut message = Request::new(NLMSG_ERROR, 0, &(-19_i32).to_ne_bytes()).encode();
    let error = Answers::default().take(&message).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(19));
    message[16..20].copy_from_slice(&[0; 4]);
    let mut answers = Answers::default();
    answers.take(&message).unwrap();
    assert!(answers.complete);
}

#[test]
fn half_a_listing_is_an_error() {
    let end = |code: i32| Request::new(NLMSG_DONE, 0, &code.to_ne_bytes()).encode();
    let error = Answers::default().take(&end(-12)).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(12));
    for message in [end(0), Request::new(NLMSG_DONE, 0, &[]).encode()] {
        let mut answers = Answers::default();
        answers.take(&message).unwrap();
        assert!(answers.complete);
    }
}

#[test]
fn a_torn_answer_is_an_error_and_a_torn_attribute_an_end() {
    let message = Request::new(16, 0, &[0; 16]).encode();
    assert!(Answers::default().take(&message[..20]).is_err());
    assert_eq!(attributes(&[0, 0, 0, 0, 9, 0, 1, 0, 5], 4).count(), 0);
    assert_eq!(attributes(&[1, 2], 4).count(), 0);
}

#[test]
fn a_listing_that_changed_meanwhile_is_known_as_such_to_its_end() {
    let part = |flags| Request::new(16, flags, &[0; 16]).encode();
    let mut answers = Answers::default();
    answers.take(&part(0)).unwrap();
    assert!(!answers.interrupted);
    for flags in [NLM_F_DUMP_INTR, NLM_F_DUMP_INTR, 0] {
        answers.take(&part(flags)).unwrap();
        assert!(answers.interrupted);
    }
}

#[test]
fn numbers_are_read_where_they_are_and_not_past_the_end() {
    let bytes = [&[1], 0x0102_0304_0506_0708_u64.to_ne_bytes().as_slice()].concat();
    assert_eq!((read_u64(&bytes, 1), read_u64(&bytes, 2)), (Some(0x0102_0304_0506_0708), None));
}
