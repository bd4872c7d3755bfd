-- What a sender said that a file is. Its type is told by its content; the check of the file compares the two.
alter table file_version add column declared_type text check (length(declared_type) between 3 and 200);
