-- A schedule starts a batch, or has an import source looked through.
alter table schedule alter column batch drop not null;
alter table schedule add column import_source_id bigint; -- import_source; when that is deleted, ticks tell so
alter table schedule add constraint schedule_starts check ((batch is null) <> (import_source_id is null));
