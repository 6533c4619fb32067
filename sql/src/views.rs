//! Views that every session has: what analysts ask of `events` and `identities` most.
//!
//! A view reads its table at the version that the session reads, also a pinned one. A table of the same name wins.

/// A view by its name, the table that it reads, and its query.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View {
    pub(crate) name: &'static str,
    pub(crate) table: &'static str,
    pub(crate) sql: &'static str,
}

/// All of them.
pub(crate) const VIEWS: &[View] = &[
    View {
        name: "sessions",
        table: "events",
        // Within a session events are put in order by their time; those of one time by the order in which they came. A
        // session of one page and nothing tracked is a bounce. A time as a number is microseconds, so that a duration is rounded
        // once, to the DOUBLE next to it; seconds since 1970 as a DOUBLE would have lost digits before they are subtracted.
        sql: "
SELECT session_id,
       min(anonymous_id) AS anonymous_id,
       last_value(resolved_user_id ORDER BY session_event_number) AS resolved_user_id,
       min(event_time) AS started_at,
       max(event_time) AS ended_at,
       CAST(CAST(max(event_time) AS BIGINT) - CAST(min(event_time) AS BIGINT) AS DOUBLE) / 1000000 AS duration_seconds,
       count(*) AS events,
       count(*) FILTER (WHERE event_type IN ('page', 'screen')) AS pages,
       first_value(coalesce(page_path, event_name) ORDER BY event_time, session_event_number)
         FILTER (WHERE event_type IN ('page', 'screen')) AS entry_page,
       last_value(coalesce(page_path, event_name) ORDER BY event_time, session_event_number)
         FILTER (WHERE event_type IN ('page', 'screen')) AS exit_page,
       count(*) FILTER (WHERE event_type IN ('page', 'screen')) = 1
         AND count(*) FILTER (WHERE event_type = 'track') = 0 AS is_bounce,
       first_value(campaign_source ORDER BY session_event_number) AS campaign_source,
       first_value(campaign_medium ORDER BY session_event_number) AS campaign_medium,
       first_value(campaign_name ORDER BY session_event_number) AS campaign_name,
       first_value(geo_country ORDER BY session_event_number) AS geo_country,
       first_value(device_class ORDER BY session_event_number) AS device_class,
       bool_or(is_bot) AS is_bot
FROM events
WHERE session_id IS NOT NULL
GROUP BY session_id",
    },
    View {
        name: "identity_edges",
        table: "identities",
        // The last row of a known id has its greatest number, inside a shard and those that continue it. Other shards number for
        // themselves: over all of them the latest `stream_time` says whose it is.
        sql: "
SELECT known_id,
       user_id,
       min(first_seen) AS first_seen,
       max(last_seen) AS last_seen,
       sum(sightings) AS sightings,
       max(binding_number) AS binding_number,
       max(stream_time) AS last_stream_time
FROM identities
GROUP BY known_id, user_id",
    },
];
