-- Written by `make docs` from source_amplitude/schemas: a comment for each column.
-- For PostgreSQL and DuckDB, with the names that PyAirbyte writes; docs/columns.md shows how.

-- events
comment on column events."_insert_id" is 'Key that the client gave the event, so that Amplitude drops a repetition within seven days; not unique for longer.';
comment on column events."_insert_key" is 'Undocumented; null in all events seen.';
comment on column events."_schema" is 'Version of the event''s format; null since 2023.';
comment on column events."adid" is 'Google advertising id of the device; usually wiped, then null.';
comment on column events."amplitude_attribution_ids" is 'Hashed id used for attribution; null in all events seen.';
comment on column events."amplitude_event_type" is 'Amplitude''s own name of the event type. Deprecated by Amplitude and null in new events.';
comment on column events."amplitude_id" is 'Amplitude''s number for the user at the time of ingestion.';
comment on column events."app" is 'Number of the Amplitude project.';
comment on column events."city" is 'City, from the IP address.';
comment on column events."client_event_time" is 'When the event happened, by the device''s clock. RFC 3339, UTC, six decimals.';
comment on column events."client_upload_time" is 'When the device sent the event, by the device''s clock. RFC 3339, UTC, six decimals.';
comment on column events."country" is 'Country by name, from the IP address.';
comment on column events."data" is 'Details of the ingestion, such as the path that received the event and the ids of its groups.';
comment on column events."data_type" is 'Kind of the line; `event`.';
comment on column events."device_brand" is 'Brand of the device. Deprecated by Amplitude and null in new events.';
comment on column events."device_carrier" is 'Mobile carrier of the device.';
comment on column events."device_family" is 'Family of the device, such as Apple iPhone.';
comment on column events."device_id" is 'Id of the device.';
comment on column events."device_manufacturer" is 'Manufacturer of the device. Deprecated by Amplitude and null in new events.';
comment on column events."device_model" is 'Model of the device. Deprecated by Amplitude and null in new events.';
comment on column events."device_type" is 'Model of the device by its market name, such as Apple iPhone 15.';
comment on column events."dma" is 'Designated market area (United States), from the IP address.';
comment on column events."event_id" is 'Counter of the client library, or a number given by the server; not unique.';
comment on column events."event_properties" is 'Properties sent with the event, as they were sent.';
comment on column events."event_time" is 'When the event happened: the device''s time corrected by the difference to the server''s clock. RFC 3339, UTC, six decimals.';
comment on column events."event_type" is 'Name of the event as it was sent.';
comment on column events."global_user_properties" is 'Undocumented; null in all events seen.';
comment on column events."group_properties" is 'Properties of the groups, by group type; empty without the Accounts add-on.';
comment on column events."groups" is 'Groups that the event belongs to, by group type; empty without the Accounts add-on.';
comment on column events."idfa" is 'Apple advertising id of the device; usually wiped, then null.';
comment on column events."ip_address" is 'IP address of the device, version 4 or 6.';
comment on column events."is_attribution_event" is 'Whether the event came from an attribution partner. Deprecated by Amplitude and null in new events.';
comment on column events."language" is 'Language of the device by its English name.';
comment on column events."library" is 'Client library and its version that sent the event.';
comment on column events."location_lat" is 'Latitude in degrees.';
comment on column events."location_lng" is 'Longitude in degrees.';
comment on column events."os_name" is 'Operating system; on the web the browser.';
comment on column events."os_version" is 'Version of the operating system; on the web of the browser.';
comment on column events."partner_id" is 'Undocumented; id of the partner that sent the event.';
comment on column events."paying" is 'Whether the user has ever paid.';
comment on column events."plan" is 'Tracking plan that the event was sent under: branch, source and version; empty without one.';
comment on column events."platform" is 'Platform of the client, such as Web, iOS or Android.';
comment on column events."processed_time" is 'When Amplitude had processed the event, a second or two after its upload. RFC 3339, UTC, six decimals.';
comment on column events."region" is 'Region or state by name, from the IP address.';
comment on column events."sample_rate" is 'Rate at which events were sampled; null without sampling.';
comment on column events."server_received_time" is 'When Amplitude''s servers received the event. RFC 3339, UTC, six decimals.';
comment on column events."server_upload_time" is 'When Amplitude''s servers took the event in; the export is requested by this hour, and it is the cursor. RFC 3339, UTC, six decimals.';
comment on column events."session_id" is 'Start of the session in milliseconds since 1970; -1 outside of a session.';
comment on column events."source_id" is 'Undocumented; id of the source that sent the event.';
comment on column events."start_version" is 'Version of the app that the user started with.';
comment on column events."user_creation_time" is 'When the user was first seen; deprecated by Amplitude and null in new events. RFC 3339, UTC, six decimals.';
comment on column events."user_id" is 'The user''s id in your own system; null for anonymous users.';
comment on column events."user_properties" is 'Properties of the user at the time of the event; `EMPTY` stands for an initial value that was not set.';
comment on column events."uuid" is 'Unique id of the event; the primary key.';
comment on column events."version_name" is 'Version of the app.';

-- active_users
comment on column active_users."date" is 'Day in the project''s time zone; the primary key.';
comment on column active_users."statistics" is 'Active users by country, `(none)` where the country is unknown; when not grouped, one number called `all`.';

-- new_users
comment on column new_users."date" is 'Day in the project''s time zone; the primary key.';
comment on column new_users."statistics" is 'New users by country, `(none)` where the country is unknown; when not grouped, one number called `all`.';

-- active_users_by_segment
comment on column active_users_by_segment."date" is 'Day in the project''s time zone; part of the primary key.';
comment on column active_users_by_segment."property" is 'The user property in `segment_property`; part of the primary key.';
comment on column active_users_by_segment."segment" is 'Value of the property, `(none)` where it is not set; part of the primary key.';
comment on column active_users_by_segment."users" is 'Active users of the segment on the day.';

-- active_users_weekly
comment on column active_users_weekly."date" is 'Day in the project''s time zone that Amplitude labels the week with; the primary key.';
comment on column active_users_weekly."statistics" is 'Users active in the week by country, `(none)` where the country is unknown; when not grouped, one number called `all`.';

-- active_users_monthly
comment on column active_users_monthly."date" is 'Day in the project''s time zone that Amplitude labels the month with; the primary key.';
comment on column active_users_monthly."statistics" is 'Users active in the month by country, `(none)` where the country is unknown; when not grouped, one number called `all`.';

-- new_users_weekly
comment on column new_users_weekly."date" is 'Day in the project''s time zone that Amplitude labels the week with; the primary key.';
comment on column new_users_weekly."statistics" is 'New users of the week by country, `(none)` where the country is unknown; when not grouped, one number called `all`.';

-- new_users_monthly
comment on column new_users_monthly."date" is 'Day in the project''s time zone that Amplitude labels the month with; the primary key.';
comment on column new_users_monthly."statistics" is 'New users of the month by country, `(none)` where the country is unknown; when not grouped, one number called `all`.';

-- average_session_length
comment on column average_session_length."date" is 'Day in the project''s time zone; the primary key.';
comment on column average_session_length."length" is 'Average length of a session in seconds; 0 on a day without sessions.';

-- average_sessions_per_user
comment on column average_sessions_per_user."date" is 'Day in the project''s time zone; the primary key.';
comment on column average_sessions_per_user."sessions" is 'Average number of sessions of a user on the day.';

-- session_length_distribution
comment on column session_length_distribution."bin" is 'Length of the sessions, such as `0s-60s`: from, up to; part of the primary key.';
comment on column session_length_distribution."date" is 'Day in the project''s time zone; part of the primary key.';
comment on column session_length_distribution."sessions" is 'Sessions of that length on the day.';

-- event_segmentation
comment on column event_segmentation."date" is 'Day in the project''s time zone, which labels its week or month; part of the primary key.';
comment on column event_segmentation."name" is 'Name of the segmentation in `segmentations`; part of the primary key.';
comment on column event_segmentation."segment" is 'Value of the property in `group_by`, `(none)` where it is not set; `all` when not grouped; part of the primary key.';
comment on column event_segmentation."value" is 'Value of the segment: users, events, a sum or an average, depending on `measure`.';

-- charts
comment on column charts."chart_id" is 'Id of the chart; part of the primary key.';
comment on column charts."description" is 'The lines between title and table: description, measure and event of the chart.';
comment on column charts."series" is 'Labels of the row, joined with ` / `; part of the primary key.';
comment on column charts."text" is 'The cell as Amplitude writes it; the whole CSV if its format is unknown.';
comment on column charts."title" is 'Title of the chart.';
comment on column charts."value" is 'The cell as a number; null if it is not a number.';
comment on column charts."x" is 'Header of the column, such as a day or a step; part of the primary key.';

-- cohorts
comment on column cohorts."appid" is 'Number of the Amplitude project.';
comment on column cohorts."archived" is 'Whether the cohort is archived.';
comment on column cohorts."chart_id" is 'Chart that the cohort was made from.';
comment on column cohorts."cohort_definition_type" is 'Undocumented; null in all cohorts seen.';
comment on column cohorts."cohort_output_type" is 'What the cohort counts, such as `UNIQUES`.';
comment on column cohorts."createdat" is 'When the cohort was created. Seconds since 1970.';
comment on column cohorts."definition" is 'The conditions of the cohort, in Amplitude''s own format.';
comment on column cohorts."description" is 'The owner''s description of the cohort.';
comment on column cohorts."edit_id" is 'Id of the last edit.';
comment on column cohorts."finished" is 'Whether the cohort has been computed.';
comment on column cohorts."hidden" is 'Whether the cohort is hidden in Amplitude.';
comment on column cohorts."id" is 'Id of the cohort; the primary key.';
comment on column cohorts."is_generated_content" is 'Whether Amplitude generated the cohort.';
comment on column cohorts."is_official_content" is 'Whether the cohort is marked as official.';
comment on column cohorts."is_predictive" is 'Whether the cohort comes from a prediction.';
comment on column cohorts."lastcomputed" is 'When the members were last computed. Seconds since 1970.';
comment on column cohorts."lastmod" is 'When the cohort was last edited. Seconds since 1970.';
comment on column cohorts."last_viewed" is 'When somebody last looked at the cohort; null for never. Seconds since 1970.';
comment on column cohorts."location_id" is 'Folder of the cohort.';
comment on column cohorts."metadata" is 'Labels of the cohort.';
comment on column cohorts."name" is 'Name of the cohort; not unique.';
comment on column cohorts."owners" is 'Who owns the cohort: e-mail addresses, or `amp` for Amplitude.';
comment on column cohorts."per_app_metadata" is 'Undocumented; null in all cohorts seen.';
comment on column cohorts."popularity" is 'How much the cohort is used, by Amplitude''s own measure.';
comment on column cohorts."published" is 'Whether others can find the cohort.';
comment on column cohorts."shortcut_ids" is 'Ids of the shortcuts to the cohort.';
comment on column cohorts."size" is 'Number of members when it was last computed; null before that.';
comment on column cohorts."syncmetadata" is 'Where the cohort is synced to, how often, and when that last worked or failed.';
comment on column cohorts."type" is 'How Amplitude computes the cohort, such as `redshift`.';
comment on column cohorts."view_count" is 'How often the cohort was looked at.';
comment on column cohorts."viewers" is 'E-mail addresses of those who may see the cohort.';

-- cohort_members
comment on column cohort_members."amplitude_id" is 'Amplitude''s number of the user; part of the primary key.';
comment on column cohort_members."cohort_id" is 'Id of the cohort; part of the primary key.';
comment on column cohort_members."computed_at" is 'When Amplitude computed the cohort, UTC. A member whose time is before that of the cohort''s other members has left.';
comment on column cohort_members."properties" is 'The user''s properties as text, by name; null where a user has none.';
comment on column cohort_members."user_id" is 'The project''s own id of the user; null where it has none.';

-- annotations
comment on column annotations."category" is 'Category of the annotation, `Uncategorized` where it has none.';
comment on column annotations."chart_id" is 'Chart that the annotation is on; null for all charts.';
comment on column annotations."date" is 'Day of `start` in the project''s time zone, for compatibility with version 2 of this API; null without a start.';
comment on column annotations."details" is 'Longer text of the annotation.';
comment on column annotations."end" is 'End of the annotated time; null for a single moment. RFC 3339 with an offset.';
comment on column annotations."id" is 'Id of the annotation; the primary key.';
comment on column annotations."label" is 'Text of the annotation on the chart.';
comment on column annotations."start" is 'Start of the annotated time. RFC 3339 with an offset.';

-- annotation_categories
comment on column annotation_categories."category" is 'Name of the category as Amplitude sends it today; the same as `name`.';
comment on column annotation_categories."id" is 'Number of the category; the primary key.';
comment on column annotation_categories."name" is 'Name of the category.';

-- events_list
comment on column events_list."autohidden" is 'Whether Amplitude hid the event type by itself.';
comment on column events_list."clusters_hidden" is 'Whether the event type is left out of clusters.';
comment on column events_list."deleted" is 'Whether the event type was deleted.';
comment on column events_list."display" is 'Name that Amplitude shows.';
comment on column events_list."flow_hidden" is 'Whether the event type is left out of journeys and flows.';
comment on column events_list."hidden" is 'Whether the event type is hidden.';
comment on column events_list."id" is 'Number of the event type; the primary key.';
comment on column events_list."in_waitroom" is 'Whether the event type waits to be approved.';
comment on column events_list."name" is 'Name of the event type.';
comment on column events_list."non_active" is 'Whether the event type does not count as activity.';
comment on column events_list."timeline_hidden" is 'Whether the event type is left out of timelines.';
comment on column events_list."totals" is 'Events of this type in the current week.';
comment on column events_list."totals_delta" is 'Change of `totals` against the week before.';
comment on column events_list."value" is 'Name of the event type as it is sent, `event_type` in the stream events.';
comment on column events_list."waitroom_approved" is 'Whether the event type was approved.';

-- event_categories
comment on column event_categories."id" is 'Number of the category; the primary key.';
comment on column event_categories."name" is 'Name of the category.';

-- event_types
comment on column event_types."category" is 'Category of the event type, with its `name`.';
comment on column event_types."deleted" is 'Whether the event type was deleted; null if it was not.';
comment on column event_types."description" is 'What the event type means.';
comment on column event_types."display_name" is 'Name that Amplitude shows.';
comment on column event_types."event_type" is 'Name of the event type as it is sent; the primary key.';
comment on column event_types."is_active" is 'Whether the event type counts as activity.';
comment on column event_types."is_hidden_from_dropdowns" is 'Whether the event type is left out of drop-down lists.';
comment on column event_types."is_hidden_from_pathfinder" is 'Whether the event type is left out of Pathfinder.';
comment on column event_types."is_hidden_from_persona_results" is 'Whether the event type is left out of Personas.';
comment on column event_types."is_hidden_from_timeline" is 'Whether the event type is left out of timelines.';
comment on column event_types."owner" is 'Who owns the event type.';
comment on column event_types."tags" is 'Tags of the event type.';

-- event_properties
comment on column event_properties."classifications" is 'Classes such as PII, SENSITIVE or REVENUE.';
comment on column event_properties."description" is 'What the property means.';
comment on column event_properties."enum_values" is 'Values that the property may have.';
comment on column event_properties."event_property" is 'Name of the property; part of the primary key.';
comment on column event_properties."event_type" is 'Event type that has the property, empty if all event types share it; part of the primary key.';
comment on column event_properties."is_array_type" is 'Whether the property is a list of such values.';
comment on column event_properties."is_hidden" is 'Whether the property is hidden.';
comment on column event_properties."is_required" is 'Whether each event of the type must have the property.';
comment on column event_properties."regex" is 'Pattern that values match.';
comment on column event_properties."type" is 'Type of the values: string, number, boolean, enum or any.';

-- user_properties
comment on column user_properties."classifications" is 'Classes such as PII, SENSITIVE or REVENUE.';
comment on column user_properties."deleted" is 'Whether the property was deleted.';
comment on column user_properties."description" is 'What the property means.';
comment on column user_properties."enum_values" is 'Values that the property may have.';
comment on column user_properties."is_array_type" is 'Whether the property is a list of such values.';
comment on column user_properties."is_hidden" is 'Whether the property is hidden.';
comment on column user_properties."regex" is 'Pattern that values match.';
comment on column user_properties."type" is 'Type of the values: string, number, boolean, enum or any.';
comment on column user_properties."user_property" is 'Name of the property, with the prefix `gp:` where it is the project''s own; the primary key.';

-- group_properties
comment on column group_properties."classifications" is 'Classes such as PII, SENSITIVE or REVENUE.';
comment on column group_properties."description" is 'What the property means.';
comment on column group_properties."enum_values" is 'Values that the property may have.';
comment on column group_properties."group_property" is 'Name of the property, with the prefix `grp:`; the primary key.';
comment on column group_properties."group_type" is 'Type of group that has the property; null if all types share it.';
comment on column group_properties."is_array_type" is 'Whether the property is a list of such values.';
comment on column group_properties."is_hidden" is 'Whether the property is hidden.';
comment on column group_properties."regex" is 'Pattern that values match.';
comment on column group_properties."type" is 'Type of the values: string, number, boolean, enum or any.';

-- deleted_users
comment on column deleted_users."active_scrub_done_date" is 'Day on which the user''s data was removed.';
comment on column deleted_users."amplitude_id" is 'Amplitude''s number of the user; part of the primary key.';
comment on column deleted_users."app" is 'Number of the project.';
comment on column deleted_users."day" is 'Day of the deletion job (UTC); part of the primary key.';
comment on column deleted_users."requested_on_day" is 'Day on which the deletion was requested.';
comment on column deleted_users."requester" is 'Who requested the deletion.';
comment on column deleted_users."status" is 'Status of the job: staging, submitted or done.';
