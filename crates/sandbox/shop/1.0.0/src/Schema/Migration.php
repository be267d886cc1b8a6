<?php

declare(strict_types=1);

namespace Acme\Shop\Schema;

/** One change of the schema. The class name ends in its number: Version1, Version2 … */
interface Migration
{
    /** What it does, for people. */
    public function description(): string;

    /** @return list<string> the SQL statements, in order */
    public function statements(): array;
}
