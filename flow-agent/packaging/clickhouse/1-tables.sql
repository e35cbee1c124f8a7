-- Tables of flow-agent's fleet, schema version 1. Applied by `flow-agent fleet init`, which replaces
-- {database}, {on_cluster} and {replacing}. Every statement is idempotent.

CREATE DATABASE IF NOT EXISTS {database} {on_cluster};

-- Traffic of one port and protocol in one bucket: absolute figures, so that sending them again changes nothing.
-- A bucket is identified by node, epoch and seq. Its start is not enough: a clock that was set back shows a time twice.
-- `day` is the date that the node wrote, in its own time zone. `user` is empty if the owner of the port is unknown.
CREATE TABLE IF NOT EXISTS {database}.port_hour {on_cluster}
(
    node LowCardinality(String),
    port UInt16 CODEC(ZSTD(1)),
    proto Enum8('tcp' = 6, 'udp' = 17) CODEC(ZSTD(1)),
    hour DateTime('UTC') CODEC(DoubleDelta, ZSTD(1)),
    epoch LowCardinality(String) CODEC(ZSTD(1)),
    seq UInt64 CODEC(DoubleDelta, ZSTD(1)),
    day Date CODEC(ZSTD(1)),
    user LowCardinality(String) CODEC(ZSTD(1)),
    quality Enum8('exact' = 1, 'late' = 2, 'gap' = 3, 'reset' = 4, 'restart' = 5, 'clock' = 6, 'import' = 7) CODEC(ZSTD(1)),
    in_bytes UInt64 CODEC(T64, ZSTD(1)),
    in_packets UInt64 CODEC(T64, ZSTD(1)),
    out_bytes UInt64 CODEC(T64, ZSTD(1)),
    out_packets UInt64 CODEC(T64, ZSTD(1)),
    rev UInt64 CODEC(ZSTD(1)),
    CONSTRAINT own_node CHECK NOT startsWith(currentUser(), 'flow-ship-') OR currentUser() = concat('flow-ship-', node),
    CONSTRAINT whole_row CHECK port > 0 AND node != '' AND epoch != '' AND rev > 0 AND day > toDate('1971-01-01')
)
ENGINE = {replacing}(rev)
PARTITION BY toYYYYMM(day)
ORDER BY (node, port, proto, hour, epoch, seq)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- The manifests: one row for each sealed bucket, even an idle one. It is sent after the rows that it lists. A month is
-- complete only with all of them: without one, an idle bucket cannot be told from a missing one.
-- `rows`, `in_bytes` and `out_bytes` are the number and the sums of the bucket's rows in port_hour. Two rows with the same
-- rev and different sha256 are an alarm, so both stay.
CREATE TABLE IF NOT EXISTS {database}.bucket {on_cluster}
(
    node LowCardinality(String),
    epoch LowCardinality(String),
    seq UInt64 CODEC(DoubleDelta, ZSTD(1)),
    start DateTime('UTC') CODEC(DoubleDelta, ZSTD(1)),
    end DateTime('UTC') CODEC(DoubleDelta, ZSTD(1)),
    utc_offset Int32 CODEC(ZSTD(1)),
    day Date CODEC(ZSTD(1)),
    zone LowCardinality(String),
    bucket_seconds UInt32 CODEC(ZSTD(1)),
    quality Enum8('exact' = 1, 'late' = 2, 'gap' = 3, 'reset' = 4, 'restart' = 5, 'clock' = 6, 'import' = 7) CODEC(ZSTD(1)),
    rows UInt64 CODEC(ZSTD(1)),
    gaps UInt64 CODEC(ZSTD(1)),
    in_bytes UInt64 CODEC(T64, ZSTD(1)),
    out_bytes UInt64 CODEC(T64, ZSTD(1)),
    sha256 String CODEC(ZSTD(1)),
    rev UInt64 CODEC(ZSTD(1)),
    version LowCardinality(String),
    received DateTime('UTC') DEFAULT now() CODEC(DoubleDelta, ZSTD(1)),
    CONSTRAINT own_node CHECK NOT startsWith(currentUser(), 'flow-ship-') OR currentUser() = concat('flow-ship-', node),
    CONSTRAINT whole_row CHECK node != '' AND epoch != '' AND rev > 0 AND length(sha256) = 64 AND start <= end
        AND bucket_seconds > 0 AND day > toDate('1971-01-01')
)
ENGINE = {replacing}
PARTITION BY toYYYYMM(day)
ORDER BY (node, epoch, seq, rev, sha256)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- Unmeasured time within buckets.
CREATE TABLE IF NOT EXISTS {database}.gap {on_cluster}
(
    node LowCardinality(String),
    epoch LowCardinality(String),
    seq UInt64,
    day Date,
    start DateTime('UTC'),
    end DateTime('UTC'),
    interface LowCardinality(String),
    why String,
    rev UInt64,
    CONSTRAINT own_node CHECK NOT startsWith(currentUser(), 'flow-ship-') OR currentUser() = concat('flow-ship-', node),
    CONSTRAINT whole_row CHECK node != '' AND rev > 0 AND start <= end
)
ENGINE = {replacing}
PARTITION BY toYYYYMM(day)
ORDER BY (node, epoch, seq, rev, start, end, interface, why)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- Who owned a port, from the first to the last hour of each month. Filled from port_hour; the minimum and maximum hour
-- stay the same however often a row arrives.
CREATE TABLE IF NOT EXISTS {database}.user_port {on_cluster}
(
    node LowCardinality(String),
    port UInt16,
    user LowCardinality(String),
    month UInt32,
    first_hour SimpleAggregateFunction(min, DateTime('UTC')),
    last_hour SimpleAggregateFunction(max, DateTime('UTC'))
)
ENGINE = {aggregating}
PARTITION BY month
ORDER BY (user, node, port, month);

CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.user_port_filled {on_cluster} TO {database}.user_port AS
SELECT node, port, user, toYYYYMM(day) AS month, min(hour) AS first_hour, max(hour) AS last_hour
FROM {database}.port_hour
WHERE user != ''
GROUP BY node, port, user, month;

CREATE TABLE IF NOT EXISTS {database}.schema_version {on_cluster}
(
    version UInt32,
    applied DateTime('UTC') DEFAULT now()
)
ENGINE = {replacing}(applied)
ORDER BY version;
