-- How far an import of users is, so that one that was interrupted goes on without doubling anybody.
create table imports (
    -- SHA-256 of format and file, in hexadecimal digits
    digest text primary key,
    -- records that are dealt with
    records bigint not null,
    imported bigint not null,
    rejected bigint not null,
    -- lengths of the report and of the list of ids up to there
    report_bytes bigint not null,
    ids_bytes bigint not null,
    started_at bigint not null,
    finished_at bigint
);
