-- The same tables for ClickHouse 18.16, as Debian 12 packages it: without codecs, constraints, roles and the views that need
-- newer functions. It is for trials and for fleets behind a closed network: nothing here keeps a node from writing under
-- another name.

CREATE DATABASE IF NOT EXISTS {database};

CREATE TABLE IF NOT EXISTS {database}.port_hour
(
    node String,
    port UInt16,
    proto Enum8('tcp' = 6, 'udp' = 17),
    hour DateTime('UTC'),
    epoch String,
    seq UInt64,
    day Date,
    user String,
    quality Enum8('exact' = 1, 'late' = 2, 'gap' = 3, 'reset' = 4, 'restart' = 5, 'clock' = 6, 'import' = 7),
    in_bytes UInt64,
    in_packets UInt64,
    out_bytes UInt64,
    out_packets UInt64,
    rev UInt64
)
ENGINE = ReplacingMergeTree(rev)
PARTITION BY toYYYYMM(day)
ORDER BY (node, port, proto, hour, epoch, seq);

CREATE TABLE IF NOT EXISTS {database}.bucket
(
    node String,
    epoch String,
    seq UInt64,
    start DateTime('UTC'),
    end DateTime('UTC'),
    utc_offset Int32,
    day Date,
    zone String,
    bucket_seconds UInt32,
    quality Enum8('exact' = 1, 'late' = 2, 'gap' = 3, 'reset' = 4, 'restart' = 5, 'clock' = 6, 'import' = 7),
    rows UInt64,
    gaps UInt64,
    in_bytes UInt64,
    out_bytes UInt64,
    sha256 String,
    rev UInt64,
    version String,
    received DateTime('UTC') DEFAULT now()
)
ENGINE = ReplacingMergeTree()
PARTITION BY toYYYYMM(day)
ORDER BY (node, epoch, seq, rev, sha256);

CREATE TABLE IF NOT EXISTS {database}.gap
(
    node String,
    epoch String,
    seq UInt64,
    day Date,
    start DateTime('UTC'),
    end DateTime('UTC'),
    interface String,
    why String,
    rev UInt64
)
ENGINE = ReplacingMergeTree()
PARTITION BY toYYYYMM(day)
ORDER BY (node, epoch, seq, rev, start, end, interface, why);

CREATE TABLE IF NOT EXISTS {database}.schema_version
(
    version UInt32,
    applied DateTime('UTC') DEFAULT now()
)
ENGINE = ReplacingMergeTree(applied)
ORDER BY version;
