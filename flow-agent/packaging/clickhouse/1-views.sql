-- Views of flow-agent's fleet, schema version 1. Applied by `flow-agent fleet init` after the tables.
-- They stay exact however often and in whatever order rows arrive. A SummingMergeTree over port_hour, or a summing
-- materialized view, would count a row again each time it is sent.

-- The rows that count now. A bucket that was sent again under a higher revision may have fewer rows than before; those of
-- lower revisions do not count. Hardly any bucket has a second revision, so the lists below are short.
CREATE VIEW IF NOT EXISTS {database}.port_hour_current {on_cluster} AS
SELECT node, port, proto, hour, epoch, seq, day, user, quality, in_bytes, in_packets, out_bytes, out_packets, rev
FROM {database}.port_hour FINAL
WHERE (node, epoch, seq) NOT IN (SELECT node, epoch, seq FROM {database}.bucket WHERE rev > 1)
   OR (node, epoch, seq, rev) IN (
       SELECT node, epoch, seq, max(rev) FROM {database}.bucket WHERE rev > 1 GROUP BY node, epoch, seq);

-- The manifests that count now. `versions` is more than 1 if different figures arrived under one revision: an alarm.
CREATE VIEW IF NOT EXISTS {database}.bucket_current {on_cluster} AS
SELECT node, epoch, seq,
       argMax(start, rev) AS start, argMax(end, rev) AS end, argMax(day, rev) AS day,
       argMax(quality, rev) AS quality, argMax(rows, rev) AS rows,
       argMax(in_bytes, rev) AS in_bytes, argMax(out_bytes, rev) AS out_bytes,
       max(rev) AS revision, argMax(version, rev) AS version, max(received) AS received,
       uniqExact(rev, sha256) - uniqExact(rev) + 1 AS versions
FROM {database}.bucket
GROUP BY node, epoch, seq;

-- Daily sums, with 128 bits: a sum of UInt64 wraps around at 2^64.
CREATE VIEW IF NOT EXISTS {database}.port_day {on_cluster} AS
SELECT node, day, port, user,
       sum(toUInt128(in_bytes)) AS in_bytes, sum(toUInt128(out_bytes)) AS out_bytes
FROM {database}.port_hour_current
GROUP BY node, day, port, user;

-- Sums by calendar month.
CREATE VIEW IF NOT EXISTS {database}.user_month {on_cluster} AS
SELECT user, toYYYYMM(day) AS month, node,
       sum(toUInt128(in_bytes)) AS in_bytes, sum(toUInt128(out_bytes)) AS out_bytes
FROM {database}.port_hour_current
GROUP BY user, month, node;

-- The progress of each node.
CREATE VIEW IF NOT EXISTS {database}.node_status {on_cluster} AS
SELECT node, count() AS buckets, min(start) AS oldest, max(end) AS newest, max(received) AS last_received,
       dateDiff('second', newest, now()) AS lag_seconds, argMax(version, end) AS version,
       countIf(versions > 1) AS conflicting
FROM {database}.bucket_current
GROUP BY node;
