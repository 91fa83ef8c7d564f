-- Names are searched by how they begin, as a range of code points, like every other canonical column: in the order of a
-- language the range is another one.
ALTER TABLE employees ALTER COLUMN name_canonical TYPE TEXT COLLATE "C";
