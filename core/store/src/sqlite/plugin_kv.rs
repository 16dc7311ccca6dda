//! What plugins keep, each within its quota.

use bedside_contract::StoreError;
use rusqlite::{Connection, OptionalExtension, params};

use super::error::OperationError;

pub(super) fn get(
    connection: &Connection,
    plugin: &str,
    key: &str,
) -> Result<Option<Vec<u8>>, OperationError> {
    let value = connection
        .prepare_cached("SELECT value FROM plugin_kv WHERE plugin_id = ?1 AND key = ?2")?
        .query_row([plugin, key], |row| row.get(0))
        .optional()?;
    Ok(value)
}

pub(super) fn put(
    connection: &Connection,
    plugin: &str,
    key: &str,
    value: &[u8],
    quota: u64,
) -> Result<(), OperationError> {
    let others = used(connection, plugin)? - entry_size(connection, plugin, key)?;
    let total = others + size(key.len() + value.len());
    let wanted = u64::try_from(total).unwrap_or(0);
    if wanted > quota {
        return Err(StoreError::QuotaExceeded {
            plugin: plugin.to_owned(),
            quota,
            wanted,
        }
        .into());
    }
    connection
        .prepare_cached(
            "INSERT INTO plugin_kv (plugin_id, key, value) VALUES (?1, ?2, ?3)
             ON CONFLICT (plugin_id, key) DO UPDATE SET value = excluded.value",
        )?
        .execute(params![plugin, key, value])?;
    set_used(connection, plugin, total)
}

pub(super) fn delete(connection: &Connection, plugin: &str, key: &str) -> Result<(), OperationError> {
    let left = used(connection, plugin)? - entry_size(connection, plugin, key)?;
    connection
        .prepare_cached("DELETE FROM plugin_kv WHERE plugin_id = ?1 AND key = ?2")?
        .execute([plugin, key])?;
    set_used(connection, plugin, left)
}

/// Deletes the entries whose key holds `part`, which must not be empty.
pub(super) fn forget(connection: &Connection, plugin: &str, part: &str) -> Result<usize, OperationError> {
    if part.is_empty() {
        return Ok(0);
    }
    let bytes: i64 = connection
        .prepare_cached(
            "SELECT COALESCE(SUM(LENGTH(CAST(key AS BLOB)) + LENGTH(value)), 0) FROM plugin_kv
             WHERE plugin_id = ?1 AND INSTR(key, ?2) > 0",
        )?
        .query_row([plugin, part], |row| row.get(0))?;
    let deleted = connection
        .prepare_cached("DELETE FROM plugin_kv WHERE plugin_id = ?1 AND INSTR(key, ?2) > 0")?
        .execute([plugin, part])?;
    if deleted > 0 {
        set_used(connection, plugin, used(connection, plugin)? - bytes)?;
    }
    Ok(deleted)
}

pub(super) fn plugins(connection: &Connection) -> Result<Vec<String>, OperationError> {
    let plugins = connection
        .prepare_cached("SELECT DISTINCT plugin_id FROM plugin_kv ORDER BY plugin_id")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    Ok(plugins)
}

/// Keys sort by their bytes, so those with the prefix stand together from the prefix on.
pub(super) fn list(
    connection: &Connection,
    plugin: &str,
    prefix: &str,
) -> Result<Vec<String>, OperationError> {
    let mut keys = Vec::new();
    let mut statement = connection
        .prepare_cached("SELECT key FROM plugin_kv WHERE plugin_id = ?1 AND key >= ?2 ORDER BY key")?;
    let mut rows = statement.query([plugin, prefix])?;
    while let Some(row) = rows.next()? {
        let key: String = row.get(0)?;
        if !key.starts_with(prefix) {
            break;
        }
        keys.push(key);
    }
    Ok(keys)
}

/// Bytes of all keys and values of a plugin; kept beside them, since counting would hold up every writer.
fn used(connection: &Connection, plugin: &str) -> Result<i64, OperationError> {
    let bytes = connection
        .prepare_cached("SELECT bytes FROM plugin_usage WHERE plugin_id = ?1")?
        .query_row([plugin], |row| row.get(0))
        .optional()?;
    Ok(bytes.unwrap_or(0))
}

fn set_used(connection: &Connection, plugin: &str, bytes: i64) -> Result<(), OperationError> {
    connection
        .prepare_cached(
            "INSERT INTO plugin_usage (plugin_id, bytes) VALUES (?1, ?2)
             ON CONFLICT (plugin_id) DO UPDATE SET bytes = excluded.bytes",
        )?
        .execute(params![plugin, bytes])?;
    Ok(())
}

fn entry_size(connection: &Connection, plugin: &str, key: &str) -> Result<i64, OperationError> {
    let value: Option<i64> = connection
        .prepare_cached("SELECT LENGTH(value) FROM plugin_kv WHERE plugin_id = ?1 AND key = ?2")?
        .query_row([plugin, key], |row| row.get(0))
        .optional()?;
    Ok(value.map_or(0, |value| value + size(key.len())))
}

fn size(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
