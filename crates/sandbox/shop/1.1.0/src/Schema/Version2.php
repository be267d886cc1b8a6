<?php

declare(strict_types=1);

namespace Acme\Shop\Schema;

final class Version2 implements Migration
{
    public function description(): string
    {
        return 'coupons on orders';
    }

    public function statements(): array
    {
        return ["alter table orders add column coupon varchar(32) not null default ''"];
    }
}
