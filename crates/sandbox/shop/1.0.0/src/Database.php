<?php

declare(strict_types=1);

namespace Acme\Shop;

/** The connection to PostgreSQL, from a URL such as `postgresql://app:secret@127.0.0.1:5432/shop`. */
final class Database
{
    public static function connect(Settings $settings): \PDO
    {
        $url = parse_url($settings->databaseUrl);
        if (!is_array($url) || !isset($url['host'], $url['path'])) {
            throw new \RuntimeException('ORO_DB_URL is missing or no URL: postgresql://USER:PASSWORD@HOST:PORT/DATABASE');
        }
        // A page must not wait for ever for a database that nobody reaches.
        $name = sprintf(
            'pgsql:host=%s;port=%d;dbname=%s;connect_timeout=3',
            $url['host'],
            $url['port'] ?? 5432,
            ltrim($url['path'], '/'),
        );

        return new \PDO($name, urldecode($url['user'] ?? ''), urldecode($url['pass'] ?? ''), [
            \PDO::ATTR_ERRMODE => \PDO::ERRMODE_EXCEPTION,
            \PDO::ATTR_DEFAULT_FETCH_MODE => \PDO::FETCH_ASSOC,
        ]);
    }
}
