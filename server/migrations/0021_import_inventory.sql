-- Lines of a bucket's inventory that could not be understood, in the last look.
alter table import_source add column skipped_count bigint not null default 0;
