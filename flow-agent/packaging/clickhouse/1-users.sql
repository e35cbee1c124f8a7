-- Roles and users of flow-agent's fleet. Printed by `flow-agent fleet init --print`, and applied by an administrator, who
-- chooses the passwords. A node may only insert, and only under its own name: the constraint `own_node` compares it with the
-- name of the user. It can only read the schema version.

CREATE ROLE IF NOT EXISTS flow_ship {on_cluster} {ship_settings};
GRANT {on_cluster} INSERT ON {database}.port_hour TO flow_ship;
GRANT {on_cluster} INSERT ON {database}.bucket TO flow_ship;
GRANT {on_cluster} INSERT ON {database}.gap TO flow_ship;
GRANT {on_cluster} SELECT ON {database}.schema_version TO flow_ship;

-- For the main node's `report --from clickhouse`, dashboards and people.
CREATE ROLE IF NOT EXISTS flow_read {on_cluster} SETTINGS readonly = 2;
GRANT {on_cluster} SELECT ON {database}.* TO flow_read;

-- One of these for each node; the part after `flow-ship-` is exactly the node's name.
--   CREATE USER IF NOT EXISTS `flow-ship-hk-1` IDENTIFIED BY '…' DEFAULT ROLE flow_ship;
--   GRANT flow_ship TO `flow-ship-hk-1`;
-- One for the main node:
--   CREATE USER IF NOT EXISTS `flow-report` IDENTIFIED BY '…' DEFAULT ROLE flow_read;
--   GRANT flow_read TO `flow-report`;
