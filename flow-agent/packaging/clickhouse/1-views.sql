-- Views of flow-agent's fleet, schema version 1. Applied by `flow-agent fleet init` after the tables; it replaces those of an
-- earlier release.
-- They stay exact however often and in whatever order rows arrive. A SummingMergeTree over port_hour, or a summing
-- materialized view, would count a row again each time it is sent.

-- Buckets that are no longer in the log of their node. After a loss of the log, one bucket is made of many: it has their
-- time, and a higher revision. Hardly any bucket has a second revision, so the right side of the join is short.
CREATE OR REPLACE VIEW {database}.bucket_replaced {on_cluster} AS
SELECT DISTINCT former.node AS node, former.epoch AS epoch, former.seq AS seq
FROM (SELECT node, epoch, seq, max(rev) AS revision, argMax(start, rev) AS first, argMax(end, rev) AS last,
             argMax(day, rev) AS day
      FROM {database}.bucket GROUP BY node, epoch, seq) AS former
INNER JOIN (SELECT node, epoch, seq, max(rev) AS revision, argMax(start, rev) AS first, argMax(end, rev) AS last,
                   argMax(day, rev) AS day
            FROM {database}.bucket WHERE rev > 1 GROUP BY node, epoch, seq) AS later
    ON former.node = later.node AND former.epoch = later.epoch AND former.day = later.day
WHERE former.revision < later.revision AND former.first < later.last AND later.first < former.last;

-- The rows that count now. A bucket that was sent again under a higher revision may have fewer rows than before; those of
-- lower revisions do not count. Hardly any bucket has a second revision, so the lists below are short.
CREATE OR REPLACE VIEW {database}.port_hour_current {on_cluster} AS
SELECT node, port, proto, hour, epoch, seq, day, user, quality, in_bytes, in_packets, out_bytes, out_packets, rev
FROM {database}.port_hour FINAL
WHERE ((node, epoch, seq) NOT IN (SELECT node, epoch, seq FROM {database}.bucket WHERE rev > 1)
       OR (node, epoch, seq, rev) IN (
           SELECT node, epoch, seq, max(rev) FROM {database}.bucket WHERE rev > 1 GROUP BY node, epoch, seq))
  AND (node, epoch, seq) NOT IN (SELECT node, epoch, seq FROM {database}.bucket_replaced);

-- The manifests that count now. `versions` is more than 1 if different figures arrived under one revision: an alarm.
CREATE OR REPLACE VIEW {database}.bucket_current {on_cluster} AS
SELECT node, epoch, seq,
       argMax(start, rev) AS start, argMax(end, rev) AS end, argMax(day, rev) AS day,
       argMax(quality, rev) AS quality, argMax(rows, rev) AS rows,
       argMax(in_bytes, rev) AS in_bytes, argMax(out_bytes, rev) AS out_bytes,
       max(rev) AS revision, argMax(version, rev) AS version, max(received) AS received,
       uniqExact(rev, sha256) - uniqExact(rev) + 1 AS versions
FROM {database}.bucket
WHERE (node, epoch, seq) NOT IN (SELECT node, epoch, seq FROM {database}.bucket_replaced)
GROUP BY node, epoch, seq;

-- Daily sums, with 128 bits: a sum of UInt64 wraps around at 2^64.
CREATE OR REPLACE VIEW {database}.port_day {on_cluster} AS
SELECT node, day, port, user,
       sum(toUInt128(in_bytes)) AS in_bytes, sum(toUInt128(out_bytes)) AS out_bytes
FROM {database}.port_hour_current
GROUP BY node, day, port, user;

-- Sums by calendar month.
CREATE OR REPLACE VIEW {database}.user_month {on_cluster} AS
SELECT user, toYYYYMM(day) AS month, node,
       sum(toUInt128(in_bytes)) AS in_bytes, sum(toUInt128(out_bytes)) AS out_bytes
FROM {database}.port_hour_current
GROUP BY user, month, node;

-- The progress of each node.
CREATE OR REPLACE VIEW {database}.node_status {on_cluster} AS
SELECT node, count() AS buckets, min(start) AS oldest, max(end) AS newest, max(received) AS last_received,
       dateDiff('second', newest, now()) AS lag_seconds, argMax(version, end) AS version,
       countIf(versions > 1) AS conflicting
FROM {database}.bucket_current
GROUP BY node;
